"""What operators ask of a stack that runs: changes as they happen, one record explained, caches beside the rows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest

from sandbox.stack.settings import ROOT
from tests.support.umbra import Umbra

OF_SKU = "SELECT product_id FROM sf_product_shadow WHERE sku = $1"


@asynccontextmanager
async def watching(running: Umbra, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`umbra watch`, once it stands at the end of the log."""
    command = [sys.executable, "-m", "services.ops", "watch", "--json", *words, "--state-dir", str(running.state_dir)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, cwd=ROOT, env=dict(os.environ))
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            first = await process.stderr.readline()
        assert b"watching" in first, first + await process.stderr.read()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def next_of(process: asyncio.subprocess.Process, record_id: str) -> dict[str, Any]:
    """The next change of one record; others may happen meanwhile."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = json.loads(await process.stdout.readline())
            if found["id"] == record_id:
                return found


async def ask(running: Umbra, query: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(running.environment["UMBRA_POSTGRES_DSN"])
    try:
        return await connection.fetchrow(query, *arguments)
    finally:
        await connection.close()


async def an_entry(running: Umbra) -> Any:
    """One that is offered: of the book that is sold from."""
    async with aiohttp.ClientSession() as session, session.get(f"{running.address}/catalog/products") as answer:
        prices = [price for each in (await answer.json())["products"] for price in each["prices"]]
    return {"id": prices[0]["pricebookEntryId"], "price": prices[0]["unitPrice"], "sku": prices[0]["sku"]}


async def an_order(running: Umbra) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{running.identity}/accounts") as answer:
        accounts = [each["accountId"] for each in (await answer.json())["accounts"]]
    return await ask(
        running,
        "SELECT order_id AS id, status FROM sf_order_shadow WHERE account_id = ANY ($1::text[]) "
        "AND status NOT IN ('Draft', 'Completed', 'Failed', 'Cancelled') ORDER BY order_id LIMIT 1",
        accounts,
    )


async def test_a_change_is_watched_from_its_commit_to_the_socket(local_stack: Umbra) -> None:
    entry, order = await an_entry(local_stack), await an_order(local_stack)
    status = "Activating" if order["status"] == "Activated" else "Activated"

    async with watching(local_stack) as process, aiohttp.ClientSession(local_stack.control) as control:
        async with control.patch(
            f"/records/PricebookEntry/{entry['id']}", json={"UnitPrice": float(entry["price"]) + 1}
        ) as changed:
            changed.raise_for_status()
        price = await next_of(process, entry["id"])
        async with control.post(f"/orders/{order['id']}/status", json={"status": status}) as changed:
            changed.raise_for_status()
        sent = await next_of(process, order["id"])
        while sent["milliseconds"]["socket"] is None:
            sent = await next_of(process, order["id"])
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            ended = await process.wait()

    stages = price["milliseconds"]
    assert price["kind"] == "update"
    assert stages["socket"] is None
    assert stages["log"] <= stages["row"] <= stages["told"] + 50
    assert sent["kind"] == status
    assert all(sent["milliseconds"][stage] is not None for stage in ("log", "row", "told", "socket"))
    assert ended == 0


async def test_watch_ends_by_itself_after_so_many_changes(local_stack: Umbra) -> None:
    entry = await an_entry(local_stack)

    async with watching(local_stack, "--count", "1") as process, aiohttp.ClientSession(local_stack.control) as control:
        for step in (1, 2):
            price = {"UnitPrice": float(entry["price"]) + step}
            async with control.patch(f"/records/PricebookEntry/{entry['id']}", json=price) as changed:
                changed.raise_for_status()
        async with asyncio.timeout(60):
            out, _ = await process.communicate()

    assert process.returncode == 0
    assert len(out.splitlines()) == 1


async def test_the_trace_of_an_answer_leads_to_the_events_of_its_record(local_stack: Umbra) -> None:
    entry = await an_entry(local_stack)
    product = await ask(local_stack, OF_SKU, entry["sku"])
    url = f"{local_stack.address}/catalog/products/{entry['sku']}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        answer.raise_for_status()
        trace = answer.headers["Umbra-Trace"]

    done = await local_stack.run_async("explain", product["product_id"], trace, "--json")

    document = json.loads(done.stdout)
    (log,) = document["log"]
    assert document["shown"]
    assert [each["in_answer"] for each in log["events"]] == [True] * len(log["events"])
    assert log["events"]
    assert all(each["by"] for each in document["fields"])


async def test_kept_answers_agree_with_the_rows_until_somebody_writes_past_the_projector(local_stack: Umbra) -> None:
    entry = await an_entry(local_stack)
    async with aiohttp.ClientSession(local_stack.address) as session:
        for path in (f"/catalog/products/{entry['sku']}", "/catalog/products"):
            async with session.get(path) as answer:
                answer.raise_for_status()

    before = await local_stack.run_async("cache", "verify", "--json")
    await ask(
        local_stack, "UPDATE sf_pricebook_shadow SET unit_price = 0.01 WHERE pricebook_entry_id = $1", entry["id"]
    )
    stale = await local_stack.run_async("cache", "verify", "--json", check=False)
    await local_stack.run_async("reproject", "sf_pricebook_shadow", "--execute", "--json")
    after = await local_stack.run_async("cache", "verify", "--json", check=False)

    assert json.loads(before.stdout)["states"]["equal"] >= 2
    assert stale.returncode == 1
    assert {each["why"] for each in json.loads(stale.stdout)["stale"]} == {"unitPrice"}
    assert after.returncode == 0, after.stdout


@pytest.mark.parametrize("words", [["--stream", "http://127.0.0.1:1/orders/events"]])
def test_a_stream_needs_whose_it_is(local_stack: Umbra, words: list[str]) -> None:
    refused = local_stack.run("watch", *words, check=False)

    assert refused.returncode == 2
    assert "UMBRA_WATCH_TOKEN" in refused.stderr
