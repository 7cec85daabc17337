"""The npm package jsforce logs in by SOAP and works: pages, limits, a record's life, a Bulk 2.0 page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.salesforce_sim import node_client
from tests.contract.salesforce_sim.node_client import Node, install
from tests.contract.salesforce_sim.simulator import Simulator

pytestmark = pytest.mark.node
_VERSION = "64.0"  # the last one with SOAP login
_SOQL = "SELECT Id, Name, UnitPrice FROM PricebookEntry"


@pytest.fixture(scope="module")
def node() -> Node:
    return install()


def _run(node: Node, sim: Simulator, task: str, **more: Any) -> dict[str, Any]:
    return node_client.run(node, sim, "jsforce.mjs", task=task, version=_VERSION, **more)


def _entries(sim: Simulator) -> int:
    return int(sim.do("GET", "/state")["records"]["PricebookEntry"])


def test_a_query_is_followed_through_its_pages(sim: Simulator, node: Node) -> None:
    names = [{"op": "create", "object": "Account", "fields": {"Name": f"Sample Walked {i}"}} for i in range(450)]
    sim.do("POST", "/transaction", {"operations": names})
    soql = "SELECT Id FROM Account WHERE Name LIKE 'Sample Walked%'"
    fetched, pages = (_run(node, sim, task, soql=soql) for task in ("all", "pages"))

    assert fetched["user"]["organizationId"] == sim.org_id
    assert (fetched["records"], fetched["total"], fetched["done"]) == (450, 450, True)
    assert fetched["calls"]["limit"] == 100_000
    assert pages["sizes"] == [200, 200, 50]


def test_a_bulk_query_gives_every_row(sim: Simulator, node: Node) -> None:
    rows = _run(node, sim, "bulk", soql=_SOQL)["rows"]

    assert len({row["Id"] for row in rows}) == len(rows) == _entries(sim)
    assert set(rows[0]) == {"Id", "Name", "UnitPrice"}


def test_a_record_is_made_changed_read_and_deleted(sim: Simulator, node: Node) -> None:
    said = _run(node, sim, "life", name="Sample By Node")

    assert said["eligibility"] == "Home 1G"
    assert sim.do("GET", f"/records/Account/{said['id']}")["IsDeleted"] is True


def test_limits_are_read_and_logout_ends_the_session(sim: Simulator, node: Node) -> None:
    assert _run(node, sim, "limits")["limits"]["DailyApiRequests"]["Max"] == 100_000
    assert sim.get_as(_run(node, sim, "logout")["token"], "/limits").status_code == 401
