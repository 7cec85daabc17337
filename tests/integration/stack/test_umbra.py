"""`umbra up`, `status`, `down`: the whole stack from a person's side, and its end under every kind of death."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from sandbox.stack.child import birth
from tests.support import stack, umbra
from tests.support.eventually import eventually
from tests.support.umbra import Umbra

KEPT_UP = ("kafka", "postgres", "valkey", "salesforce", "identity", "gateway-1", "notifier-2", "projector", "ingestor")


def test_status_tells_of_every_process_and_of_the_accounts(local_stack: Umbra) -> None:
    status = local_stack.status()

    assert status["ok"], [entry for entry in status["processes"] if not entry["ok"]]
    assert {entry["name"] for entry in status["processes"]} >= {*KEPT_UP, "gateway-2", "notifier-1", "front"}
    running = [entry for entry in status["processes"] if entry["state"] == "ready"]
    assert all(entry["pid"] and entry["port"] and entry["address"] for entry in running)
    assert all(Path(entry["log"]).exists() for entry in running)
    assert all(account["token"].count(".") == 2 for account in status["accounts"])
    assert {entry["object"] for entry in status["coverage"]} == {"Account", "Order", "PricebookEntry", "Product2"}
    assert all(entry["advice"] is None and entry["open_holes"] == 0 for entry in status["coverage"])


async def test_backfill_ran_before_the_stack_was_ready(local_stack: Umbra) -> None:
    connection = await asyncpg.connect(local_stack.environment["UMBRA_POSTGRES_DSN"])

    assert await connection.fetchval("SELECT count(*) FROM sf_product_shadow") > 0

    await connection.close()


async def test_front_port_serves_portal_and_catalog(local_stack: Umbra) -> None:
    async with aiohttp.ClientSession(local_stack.address) as session:
        async with session.get("/") as page:
            assert page.content_type == "text/html"
        async with session.get("/catalog/products") as answer:
            assert (await answer.json())["products"]


@pytest.mark.parametrize("name", KEPT_UP)
async def test_killed_process_is_back(local_stack: Umbra, name: str) -> None:
    killed = local_stack.kill(name)

    await eventually(lambda: local_stack.is_back(name, killed), within=60)
    await eventually(lambda: local_stack.status()["ok"], within=60)


def test_second_up_is_refused_and_told_where_the_first_is(local_stack: Umbra) -> None:
    refused = local_stack.run("up", "--free-ports", check=False)

    assert refused.returncode == 1
    assert local_stack.address in refused.stderr


def test_up_on_a_taken_port_names_it(local_stack: Umbra, tmp_path: Path) -> None:
    port = local_stack.process("front")["port"]

    refused = Umbra(tmp_path).run("up", "--free-ports", f"--port=front={port}", check=False)

    assert refused.returncode == 1
    assert f"port {port} (front) is in use by pid {local_stack.process('front')['pid']} (caddy)" in refused.stderr


@pytest.mark.long
async def test_second_start_finds_its_data_and_fresh_forgets_it() -> None:
    with stack.scratch("twice") as state:
        with umbra.running(state) as first:
            made = await _add_product(first)
        with umbra.running(state) as second:
            assert second.process("backfill")["state"] == "skipped"
            assert await _has_product(second, made)
        with umbra.running(state, "--fresh") as third:
            assert not await _has_product(third, made)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_everything_ends_with_a_killed_supervisor_and_the_next_start_goes_on() -> None:
    with stack.scratch("crash") as state:
        with umbra.running(state) as first:
            made = await _add_product(first)
            pids = [entry["pid"] for entry in first.status()["processes"] if entry["state"] == "ready"]
            os.kill(first.status()["pid"], signal.SIGKILL)
            await eventually(lambda: all(birth(pid) is None for pid in pids), within=10)
            assert json.loads(first.run("status", "--json", check=False).stdout) == {"running": False}
        with umbra.running(state) as second:
            assert await _has_product(second, made)


async def _add_product(running: Umbra) -> str:
    product = {"Name": "Added by a test", "StockKeepingUnit": "TEST-ADDED", "IsActive": True}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{running.control}/records/Product2", json=product) as answer,
    ):
        answer.raise_for_status()
    await eventually(lambda: _has_product(running, "TEST-ADDED"), within=20)
    return "TEST-ADDED"


async def _has_product(running: Umbra, sku: str) -> bool:
    connection = await asyncpg.connect(running.environment["UMBRA_POSTGRES_DSN"])
    try:
        return bool(await connection.fetchval("SELECT true FROM sf_product_shadow WHERE sku = $1", sku))
    finally:
        await connection.close()
