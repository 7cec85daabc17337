"""Edits all through a backfill, also of rows that it has read already: not one row ends wrong.

The control is the rule of two other tools: of the stream only what is stamped after the snapshot was complete.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from schemas import mapping, versions
from schemas.events import RecordChange
from schemas.join import State, join_all, state_of
from services.ingestor.jobs import backfill, delta
from services.ingestor.jobs.means import Means
from tests.integration.ingestor.harness import Ingestor, Log, unwatched
from tests.support import salesforce_sim, stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

PRODUCT = mapping.load().objects["Product2"]
PRODUCTS = 2_000
SEED = 4
LEAST_MARGIN_MS = 5_000
"""Late visibility, early commit times and clock error at their worst."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    options = ("--products", str(PRODUCTS), "--bulk-delay", "1.0")
    with stack.scratch("org") as state, salesforce_sim.running(state / "org", *options) as running:
        yield running


def edit_until(sim: Simulator, ids: list[str], done: threading.Event, chance: random.Random) -> int:
    """Updates, deletes and creations, one after the other; how many there were."""
    count = 0
    alive = list(ids)
    while not done.is_set():
        count += 1
        what, fields = chance.random(), {"Name": f"Edit {count}"}
        if what < 0.05:
            operation: dict[str, Any] = {"op": "delete", "id": alive.pop(chance.randrange(len(alive)))}
        elif what < 0.1:
            operation = {"op": "create", "fields": fields}
        else:
            operation = {"op": "update", "id": chance.choice(alive), "fields": fields}
        made = sim.do("POST", "/oddities/transaction", {"operations": [{**operation, "object": "Product2"}]})
        alive += made["ids"] if operation["op"] == "create" else []
    return count


def wrong(changes: Iterable[RecordChange], org: dict[str, dict[str, Any]]) -> set[str]:
    """Records of which the state, joined from these changes, is not what the org has."""
    by_id: defaultdict[str, list[State]] = defaultdict(list)
    for change in changes:
        by_id[change.record_id].append(state_of(change))
    states = {record_id: join_all(of) for record_id, of in by_id.items()}
    differ = {record_id for record_id, record in org.items() if not _same(states.get(record_id, State()), record)}
    return differ | {record_id for record_id, state in states.items() if state.alive and record_id not in org}


def _same(state: State, record: dict[str, Any]) -> bool:
    if record["IsDeleted"]:
        return not state.alive
    return state.alive and all(
        (record.get(name) or None) == (state.payload.get(name) or None) for name in PRODUCT.fields
    )


@pytest.mark.long
async def test_late_reads_early_commits_and_lost_events_end_right_after_one_delta(
    log: Log, means: Means, sim: Simulator, ingestor: Ingestor
) -> None:
    odd = {"late_reads_ms": [1_000, 3_000], "early_commit_ms": [0, 1_000], "lose_share": 0.1, "duplicate_share": 0.1}
    sim.do("POST", "/oddities", odd)
    means = replace(means, margin_ms=LEAST_MARGIN_MS)
    ids = [record["Id"] for record in sim.do("GET", "/records/Product2")["records"]]
    done = threading.Event()
    editing = asyncio.create_task(asyncio.to_thread(edit_until, sim, ids, done, random.Random(SEED)), name="edits")
    filled = await backfill.run(means, PRODUCT, unwatched)
    done.set()
    await editing
    # A read proves what committed a margin and a second before it began.
    await asyncio.to_thread(sim.do, "POST", "/clock", {"offset_ms": 3_000})

    proven = await delta.run(means, PRODUCT, unwatched)

    changes = await log.changes("Product2")
    assert (filled.state, proven.state) == ("COMPLETE", "COMPLETE")
    await eventually(lambda: _none_wrong(log, sim), within=30)
    assert wrong((c for c in changes if c.origin != "delta"), records(sim)), "nothing was lost: the test shows nothing"


def records(sim: Simulator) -> dict[str, dict[str, Any]]:
    return {record["Id"]: record for record in sim.do("GET", "/records/Product2")["records"]}


async def _none_wrong(log: Log, sim: Simulator) -> bool:
    found = wrong(await log.changes("Product2"), records(sim))
    assert not found, f"{len(found)} wrong"
    return True


async def test_no_row_is_wrong_after_a_backfill_among_edits(
    log: Log, means: Means, sim: Simulator, ingestor: Ingestor
) -> None:
    ids = [record["Id"] for record in sim.do("GET", "/records/Product2")["records"]]
    done = threading.Event()
    editing = asyncio.create_task(asyncio.to_thread(edit_until, sim, ids, done, random.Random(SEED)), name="edits")
    outcome = await backfill.run(means, PRODUCT, unwatched)
    completed_ms = versions.millis(means.clock.now())
    done.set()
    edits = await editing
    assert (outcome.state, edits > 50) == ("COMPLETE", True)
    await eventually(lambda: _none_wrong(log, sim), within=30)
    changes = await log.changes("Product2")
    kept = [c for c in changes if c.committed_at is None or versions.millis(c.committed_at) >= completed_ms]
    assert wrong(kept, records(sim)), "the control, that drops what is stamped before the end, has to fail"
