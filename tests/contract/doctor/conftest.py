"""The simulator, and a doctor that is asked about it through the command line's own entry."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.ops import doctor
from tests.support import bent_org
from tests.support.bent_org import BentOrg
from tests.support.salesforce_sim import Simulator, running

Finding = dict[str, Any]


@dataclass(slots=True)
class Report:
    code: int
    document: dict[str, Any]

    @property
    def findings(self) -> list[Finding]:
        found: list[Finding] = self.document["findings"]
        return found

    def of(self, check: str) -> Finding:
        """The worst finding of a check."""
        order = ("FAIL", "warn", "ok")
        return min((f for f in self.findings if f["check"] == check), key=lambda f: order.index(f["level"]))

    def not_ok(self) -> list[Finding]:
        return [f for f in self.findings if f["level"] != "ok"]


@dataclass(slots=True)
class Doctor:
    """environ: what the doctor is told; a test changes it"""

    capsys: pytest.CaptureFixture[str]
    environ: dict[str, str] = field(default_factory=dict)

    async def look(self, *only: str, subscribe: bool = False, **changed: str) -> Report:
        environ = {**self.environ, **{f"UMBRA_{name.upper()}": value for name, value in changed.items()}}
        args = argparse.Namespace(only=list(only) or None, environ=environ, json=True, subscribe=subscribe)
        self.capsys.readouterr()
        code = await doctor.run(args)
        return Report(code, json.loads(self.capsys.readouterr().out))


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(tmp_path_factory.mktemp("doctor") / "org") as simulator:
        yield simulator


@pytest.fixture
async def org(sim: Simulator) -> AsyncIterator[BentOrg]:
    async with bent_org.before(sim.http) as bent:
        yield bent


@pytest.fixture
def told(sim: Simulator, org: BentOrg) -> dict[str, str]:
    return {
        "UMBRA_SALESFORCE_LOGIN_URL": org.url,
        "UMBRA_SALESFORCE_CLIENT_ID": sim.client_id,
        "UMBRA_SALESFORCE_CLIENT_SECRET": sim.client_secret,
        "UMBRA_SALESFORCE_API_VERSION": sim.api_version,
        "UMBRA_SALESFORCE_PUBSUB": sim.grpc,
        "UMBRA_SALESFORCE_PUBSUB_PLAINTEXT": "true",
        "UMBRA_PRICEBOOK": "Umbra Portal",
    }


@pytest.fixture
def salesforce(told: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(capsys, told)


@pytest.fixture
def key_login(sim: Simulator, told: dict[str, str]) -> dict[str, str]:
    """Settings of the signed login in place of the secret."""
    Path(sim.private_key_file).chmod(0o600)
    del told["UMBRA_SALESFORCE_CLIENT_SECRET"]
    told |= {
        "UMBRA_SALESFORCE_USERNAME": sim.username,
        "UMBRA_SALESFORCE_PRIVATE_KEY_FILE": sim.private_key_file,
    }
    return told
