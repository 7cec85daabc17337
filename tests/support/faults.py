"""Arms faults of a running Salesforce simulator: `faults(sim).arm(pubsub.Stall(count=1))`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import requests

from sandbox.salesforce.faults.fault import Fault

_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Faults:
    """The board of one simulator, by the address of its control endpoint."""

    control: str

    def arm(self, *faults: Fault) -> list[str]:
        """Their ids, in order."""
        return [entry["id"] for entry in self._call("POST", "", msgspec.json.encode(faults))]

    def all(self) -> list[dict[str, Any]]:
        """Each with `id`, `fault`, `hits` and `left`."""
        return self._call("GET", "")

    def hits(self, armed_id: str) -> int:
        """How often it has happened."""
        return next(int(entry["hits"]) for entry in self.all() if entry["id"] == armed_id)

    def take_off(self, armed_id: str) -> None:
        self._call("DELETE", f"/{armed_id}")

    def clear(self) -> None:
        self._call("DELETE", "")

    @contextmanager
    def armed(self, *faults: Fault) -> Iterator[list[str]]:
        """For the time of the block, used up or not."""
        ids = self.arm(*faults)
        try:
            yield ids
        finally:
            for armed_id in ids:
                self.take_off(armed_id)

    def _call(self, method: str, path: str, body: bytes | None = None) -> list[dict[str, Any]]:
        answer = requests.request(method, f"{self.control}/faults{path}", data=body, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["faults"]
        return found
