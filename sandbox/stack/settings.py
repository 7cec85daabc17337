"""What a person may choose about a stack: where its state is, its ports, how much the simulator holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack import ports

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: where the packages and the portal are."""

DEFAULT_PORTS: Mapping[str, int] = {
    "front": 8080,
    "control": 8090,
    "salesforce-http": 8091,
    "salesforce-https": 8092,
    "salesforce-grpc": 8093,
    "salesforce-grpc-tls": 8094,
    "identity": 8095,
    "gateway-1": 8101,
    "gateway-2": 8102,
    "notifier-1": 8103,
    "notifier-2": 8104,
    "gateway-1-admin": 8111,
    "gateway-2-admin": 8112,
    "notifier-1-admin": 8113,
    "notifier-2-admin": 8114,
    "projector-admin": 8115,
    "ingestor-admin": 8116,
    "fulfilment-admin": 8117,
    "postgres": 15432,
    "valkey": 16379,
    "kafka": 19092,
    "kafka-controller": 19093,
}


class UnknownPort(ValueError):
    """A port was chosen for something that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """products: size of the catalog that the simulator makes at its first start; None leaves it to the simulator"""

    state: Path
    cache: Path
    ports: Mapping[str, int]
    products: int | None = None


def chosen_ports(choices: Mapping[str, int], *, free: bool) -> dict[str, int]:
    """Every port by name: those chosen, the rest the usual or, with `free`, any free ones."""
    unknown = sorted(set(choices) - set(DEFAULT_PORTS))
    if unknown:
        raise UnknownPort(f"no port is called {', '.join(unknown)}; there are {', '.join(DEFAULT_PORTS)}")
    usual = {name: ports.FREE.take() for name in DEFAULT_PORTS} if free else dict(DEFAULT_PORTS)
    return {**usual, **choices}


def check_free(chosen: Mapping[str, int]) -> None:
    """Raises PortTaken, naming for each port that is held who holds it and what chooses another."""
    taken = [name for name, port in chosen.items() if not ports.is_free(port)]
    if not taken:
        return
    lines = [f"port {chosen[name]} ({name}) is in use by {ports.holder(chosen[name])}" for name in taken]
    others = " ".join(f"--port {name}={chosen[name] + 10_000}" for name in taken)
    raise ports.PortTaken("; ".join(lines) + f". Choose another (umbra up {others}), or any (umbra up --free-ports)")
