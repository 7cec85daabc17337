"""pysfpubsub, aiosfpubsub and tap-salesforce, as they are published, accept what the simulator sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.salesforce_sim import foreign_clients
from tests.contract.salesforce_sim.foreign_clients import comparable
from tests.contract.salesforce_sim.simulator import Simulator

_PRICES = "/data/PricebookEntryChangeEvent"


@pytest.fixture(scope="module")
def python() -> Path:
    return foreign_clients.environment("clients")


@pytest.mark.parametrize("client", ["pysfpubsub", "aiosfpubsub"])
async def test_a_soap_session_subscribes_and_its_events_decode(sim: Simulator, python: Path, client: str) -> None:
    with foreign_clients.listening(python, sim, client, _PRICES, "LATEST") as listener:
        assert listener.line() == {"topic": _PRICES, "org": sim.org_id}
        await sim.streams(_PRICES)
        row = sim.price("VPN-JAPAN", 4100)
        first = listener.line()
        sim.price("VPN-JAPAN", 4200)
        second = listener.line()

    assert first["payload"]["ChangeEventHeader"]["recordIds"] == [row["Id"]]
    assert [first["payload"]["UnitPrice"], second["payload"]["UnitPrice"]] == [4100, 4200]
    assert second["replay_id"] > first["replay_id"]


def _tap(sim: Simulator, python: Path, folder: Path, *arguments: str) -> str:
    config = folder / "config.json"
    settings = {
        "client_id": sim.client_id,
        "client_secret": sim.client_secret,
        "refresh_token": sim.refresh_token,
        "start_date": "2020-01-01T00:00:00Z",
        "api_type": "REST",
        "select_fields_by_default": True,
    }
    config.write_text(json.dumps(settings))
    return foreign_clients.run(python, "tap.py", sim.http, "--config", str(config), *arguments)


def _select(catalog: dict[str, Any], names: set[str]) -> None:
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["stream"] in names


def test_the_singer_tap_discovers_the_org_and_reads_every_record(sim: Simulator, python: Path, tmp_path: Path) -> None:
    gone = sim.do("POST", "/records/Account", {"Name": "Sample Tapped"})["Id"]
    sim.do("DELETE", f"/records/Account/{gone}")
    names = {"Account", "Product2", "PricebookEntry"}
    catalog = json.loads(_tap(sim, python, tmp_path, "--discover"))
    _select(catalog, names)
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    lines = _tap(sim, python, tmp_path, "--properties", str(tmp_path / "catalog.json")).splitlines()
    said = [json.loads(line) for line in lines]

    assert names < {stream["stream"] for stream in catalog["streams"]}
    for name in names:
        read = [line["record"] for line in said if line["type"] == "RECORD" and line["stream"] == name]
        assert comparable(read) == comparable(sim.do("GET", f"/records/{name}")["records"])
