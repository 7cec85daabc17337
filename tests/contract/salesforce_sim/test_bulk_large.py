"""A query of a million records is served from disk: the process does not grow with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.salesforce_sim.simulator import Simulator, running
from tests.support.eventually import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
_RECORDS = 1_000_000
_MAY_GROW_MB = 100  # 16 measured; the rows are 165
_SOQL = (
    "SELECT Id, IsDeleted, Name, AccountNumber, BillingStreet, BillingCity, Internet_Eligibility__c,"
    " Eligibility_Source__c, LastModifiedDate, SystemModstamp FROM Account"
)


def _most_memory_mb(sim: Simulator) -> int:
    status = Path(f"/proc/{sim.process.pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _read_all(sim: Simulator, job: str) -> tuple[int, int]:
    """Rows as the pages count them, and lines without their headers."""
    told, lines, locator = 0, 0, ""
    while locator != "null":
        page = sim.call("GET", f"/jobs/query/{job}/results", params={"locator": locator} if locator else None)
        told += int(page.headers["Sforce-NumberOfRecords"])
        lines += page.content.count(b"\n") - 1
        locator = page.headers["Sforce-Locator"]
    return told, lines


async def test_a_million_records_are_read_without_growing(state_dir: Path) -> None:
    with running(state_dir, "--accounts", str(_RECORDS), "--bulk-delay", "0.1") as sim:
        before = _most_memory_mb(sim)
        job = sim.call("POST", "/jobs/query", json={"operation": "queryAll", "query": _SOQL}).json()["id"]

        def complete() -> bool:
            return bool(sim.call("GET", f"/jobs/query/{job}").json()["state"] == "JobComplete")

        await eventually(complete, within=600)
        read = _read_all(sim, job)
        grown = _most_memory_mb(sim) - before

    assert read == (_RECORDS, _RECORDS)
    assert grown < _MAY_GROW_MB
