"""Edits all through a backfill, also of rows that it has read already: not one row ends wrong.

The control is the rule of two other tools: of the stream only what is stamped after the snapshot was complete.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from schemas import mapping, versions
from schemas.events import RecordChange
from schemas.join import State, join_all, state_of
from services.ingestor.jobs import backfill
from services.ingestor.jobs.means import Means
from tests.integration.ingestor.harness import Ingestor, Log, unwatched
from tests.support import salesforce_sim, stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

PRODUCT = mapping.load().objects["Product2"]
PRODUCTS = 2_000
SEED = 4


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
        what = chance.random()
        if what < 0.05:
            sim.do("DELETE", f"/records/Product2/{alive.pop(chance.randrange(len(alive)))}")
        elif what < 0.1:
            alive.append(sim.do("POST", "/records/Product2", {"Name": f"New {count}"})["Id"])
        else:
            sim.do("PATCH", f"/records/Product2/{chance.choice(alive)}", {"Name": f"Edit {count}"})
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
    org = {record["Id"]: record for record in sim.do("GET", "/records/Product2")["records"]}

    async def none_wrong() -> bool:
        found = wrong(await log.changes("Product2"), org)
        assert not found, f"{len(found)} of {len(org)} wrong after {edits} edits"
        return True

    assert (outcome.state, edits > 50) == ("COMPLETE", True)
    await eventually(none_wrong, within=30)
    changes = await log.changes("Product2")
    kept = [c for c in changes if c.committed_at is None or versions.millis(c.committed_at) >= completed_ms]
    assert wrong(kept, org), "the control, that drops what is stamped before the end, has to fail"
