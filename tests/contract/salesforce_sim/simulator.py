"""The Salesforce sandbox as a process of its own, and the few calls the tests make to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.eventually import eventually

_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator by what it printed when it became ready."""

    process: subprocess.Popen[bytes]
    log: Path
    http: str
    https: str
    grpc: str
    grpc_tls: str
    control: str
    ca_file: str
    client_id: str
    client_secret: str
    username: str
    password: str
    security_token: str
    refresh_token: str
    private_key_file: str
    org_id: str
    api_version: str

    @property
    def data(self) -> str:
        return f"{self.http}/services/data/v{self.api_version}"

    @property
    def ca(self) -> bytes:
        return Path(self.ca_file).read_bytes()

    def token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        answer = requests.post(f"{self.http}/services/oauth2/token", data=form, timeout=_TIMEOUT_S)
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """A REST call under the API version, or under `version`, logged in."""
        headers = {"Authorization": f"Bearer {self.token()}"} | more.pop("headers", {})
        base = f"{self.http}/services/data/v{more.pop('version', self.api_version)}"
        return requests.request(method, base + path, headers=headers, timeout=_TIMEOUT_S, **more)

    def get_as(self, token: str, path: str) -> requests.Response:
        """A REST read with a token from before."""
        return requests.get(self.data + path, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S)

    def query(self, soql: str) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = self.call("GET", "/query", params={"q": soql}).json()["records"]
        return records

    def do(self, method: str, path: str, body: object = None) -> Any:
        """A call of the control endpoint that has to work."""
        answer = requests.request(method, self.control + path, json=body, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()

    def price(self, sku: str, price: float, currency: str = "JPY") -> dict[str, Any]:
        row: dict[str, Any] = self.do("POST", "/price", {"sku": sku, "currency": currency, "price": price})
        return row

    async def streams(self, topic: str, count: int = 1) -> None:
        """Returns once that many streams are open on a topic."""
        await eventually(lambda: self.do("GET", "/state")["streams"].get(topic, 0) >= count, within=15)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(_TIMEOUT_S)


@contextmanager
def running(state_dir: Path, *options: str) -> Iterator[Simulator]:
    """A simulator on free ports; ends with the block."""
    command = [sys.executable, "-m", "sandbox.salesforce", "--state-dir", str(state_dir), *options]
    log = state_dir.parent / f"{state_dir.name}.log"
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file)
    try:
        yield _ready(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
        assert process.wait(_TIMEOUT_S) in (0, -signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()


def _ready(process: subprocess.Popen[bytes], log: Path) -> Simulator:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, log.read_text()
    said = json.loads(line)
    assert said.pop("ready") is True
    return Simulator(process, log, **said)
