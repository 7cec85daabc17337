"""A restart is no org migration: records, ids, replay ids, tokens and finished query jobs are as before."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

from sandbox.salesforce.faults.rest import Revoke
from tests.contract.salesforce_sim.pubsub_client import CUSTOM, EARLIEST, pubsub
from tests.contract.salesforce_sim.simulator import Simulator, running
from tests.support.eventually import eventually
from tests.support.faults import Faults

_PRICES = "/data/PricebookEntryChangeEvent"


async def _events(sim: Simulator, count: int, **start: Any) -> list[tuple[bytes, bytes]]:
    async with pubsub(sim) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 100, **start)
        return [(e.replay_id, e.event.payload) for e in await stream.events(count)]


async def test_a_killed_org_comes_back_with_everything_it_has_shown(state_dir: Path) -> None:
    with running(state_dir) as sim:
        row = sim.price("VPN-UK", 2801)
        gone = sim.do("POST", "/records/Account", {"Name": "Sample Gone"})["Id"]
        sim.do("DELETE", f"/records/Account/{gone}")
        for price in range(2802, 2812):
            sim.price("VPN-UK", price)
        before = await _events(sim, 11, replay_preset=EARLIEST)
        records = sim.do("GET", "/records/PricebookEntry")
        token, org_id = sim.token(), sim.org_id
        sim.kill()

    with running(state_dir) as sim:
        assert sim.org_id == org_id
        assert sim.do("GET", "/records/PricebookEntry") == records
        assert sim.do("GET", f"/records/Account/{gone}")["IsDeleted"] is True
        assert await _events(sim, 11, replay_preset=EARLIEST) == before
        sim.price("VPN-UK", 2900)
        resumed = await _events(sim, 1, replay_preset=CUSTOM, replay_id=before[-1][0])
        made = sim.do("POST", "/records/Account", {"Name": "Sample Next"})["Id"]
        found = sim.get_as(token, f"/sobjects/PricebookEntry/{row['Id']}")

    assert resumed[0][0] > before[-1][0]
    assert made not in (gone, row["Id"])
    assert made > gone
    assert found.json()["UnitPrice"] == 2900


async def test_a_finished_query_job_can_be_paged_on(state_dir: Path) -> None:
    with running(state_dir, "--bulk-delay", "0.02") as sim:
        body = {"operation": "query", "query": "SELECT Id FROM PricebookEntry"}
        job = sim.call("POST", "/jobs/query", json=body).json()["id"]

        def complete() -> bool:
            return bool(sim.call("GET", f"/jobs/query/{job}").json()["state"] == "JobComplete")

        await eventually(complete)
        first = sim.call("GET", f"/jobs/query/{job}/results", params={"maxRecords": 100})

    with running(state_dir) as sim:
        other = sim.call("POST", "/jobs/query", json=body).json()["id"]
        params = {"locator": first.headers["Sforce-Locator"], "maxRecords": 100}
        second = sim.call("GET", f"/jobs/query/{job}/results", params=params)

    assert other != job
    assert second.headers["Sforce-NumberOfRecords"] == "52"
    assert second.headers["Sforce-Locator"] == "null"
    assert not set(first.text.splitlines()[1:]) & set(second.text.splitlines()[1:])


def test_a_port_in_use_is_named(state_dir: Path) -> None:
    with running(state_dir) as sim:
        port = sim.grpc.rpartition(":")[2]
        options = ["--state-dir", f"{state_dir}-2", "--grpc-port", port]
        command = [sys.executable, "-m", "sandbox.salesforce", *options]
        second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert second.returncode == 1
    assert port in second.stderr.splitlines()[-1]


def test_what_was_used_of_the_day_is_still_used_after_a_restart(state_dir: Path) -> None:
    with running(state_dir) as sim:
        for _ in range(3):
            sim.call("GET", "/limits")
    with running(state_dir) as sim:
        assert sim.call("GET", "/limits").headers["Sforce-Limit-Info"] == "api-usage=4/100000"


def test_a_revoked_token_stays_revoked_after_a_restart(state_dir: Path) -> None:
    with running(state_dir) as sim:
        tokens = [sim.token() for _ in range(3)]
        form = {"token": tokens[0]}
        requests.post(f"{sim.http}/services/oauth2/revoke", data=form, timeout=30)
    with running(state_dir) as sim:
        assert [sim.get_as(token, "/limits").status_code for token in tokens] == [401, 200, 200]
        Faults(sim.control).arm(Revoke(tokens="all", count=1))
        sim.get_as(tokens[1], "/limits")
    with running(state_dir) as sim:
        assert [sim.get_as(token, "/limits").status_code for token in (*tokens, sim.token())] == [401, 401, 401, 200]


def test_a_second_process_on_the_same_state_is_refused(state_dir: Path) -> None:
    command = [sys.executable, "-m", "sandbox.salesforce", "--state-dir", str(state_dir)]
    with running(state_dir):
        second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert "in use by another process" in second.stderr
