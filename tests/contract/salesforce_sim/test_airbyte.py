"""airbyte-source-salesforce, as it is published, discovers the org and reads it by Bulk 2.0, page after page.

Long: its environment takes 16 to 38 s to build and 340 MB to keep, its three commands 20 s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce.faults import bulk, rest
from tests.contract.salesforce_sim import foreign_clients
from tests.contract.salesforce_sim.foreign_clients import comparable
from tests.contract.salesforce_sim.simulator import Simulator
from tests.support.faults import Faults

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
_NAMES = {"Account", "Product2", "PricebookEntry"}


@pytest.fixture(scope="module")
def python() -> Path:
    return foreign_clients.environment("clients-airbyte")


@pytest.fixture
def faults(sim: Simulator) -> Iterator[Faults]:
    board = Faults(sim.control)
    yield board
    board.clear()


def _source(sim: Simulator, python: Path, folder: Path, command: str, *arguments: str) -> list[dict[str, Any]]:
    config = folder / "config.json"
    settings = {
        "auth_type": "Client",
        "client_id": sim.client_id,
        "client_secret": sim.client_secret,
        "refresh_token": sim.refresh_token,
        "start_date": "2020-01-01T00:00:00Z",
        "force_use_bulk_api": True,
    }
    config.write_text(json.dumps(settings))
    more = ("--config", str(config), *arguments)
    said = foreign_clients.run(python, "airbyte.py", sim.http, command, *more, within=300)
    return [json.loads(line) for line in said.splitlines()]


def _catalog(discovered: list[dict[str, Any]]) -> dict[str, Any]:
    streams = next(line["catalog"]["streams"] for line in discovered if line["type"] == "CATALOG")
    return {
        "streams": [
            {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
            for stream in streams
            if stream["name"] in _NAMES
        ]
    }


def _filled(record: dict[str, Any]) -> dict[str, Any]:
    """Without nulls, which it leaves out."""
    return {name: value for name, value in record.items() if value is not None}


def test_every_record_is_read_by_bulk_over_many_pages(
    sim: Simulator, python: Path, faults: Faults, tmp_path: Path
) -> None:
    gone = sim.do("POST", "/records/Account", {"Name": 'Sample "Quoted", in\ntwo lines'})["Id"]
    sim.do("DELETE", f"/records/Account/{gone}")
    catalog = tmp_path / "catalog.json"
    catalog.write_text(json.dumps(_catalog(_source(sim, python, tmp_path, "discover"))))
    pages, page = faults.arm(bulk.PageRows(rows=20), rest.Page(status=503, match="GET /jobs/query/*/results", count=1))
    said = _source(sim, python, tmp_path, "read", "--catalog", str(catalog))

    assert faults.hits(pages) > 8
    assert faults.hits(page) == 1
    for name in _NAMES:
        read = [line["record"]["data"] for line in said if line.get("record", {}).get("stream") == name]
        held = [_filled(record) for record in sim.do("GET", f"/records/{name}")["records"]]
        assert comparable(read) == comparable(held)
