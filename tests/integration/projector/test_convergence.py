"""Whatever the order, repetition and cut into batches: the state ends as the org, the tables as the state says."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import versions
from schemas.events import RecordChange
from schemas.join import EMPTY, State, join, join_all, moves, state_of
from services.projector import states
from services.projector.batch import Key
from services.projector.link import statements
from services.projector.project import shadow
from services.projector.rows import Shadow
from tests.integration.projector import harness, orgs
from tests.integration.projector.harness import MAPPING, Bench, Log

REAL = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_TABLES = """sf_record, sf_product_shadow, sf_pricebook_shadow, sf_account_eligibility_shadow, sf_order_shadow,
  sf_order_status, sf_hidden, projection_offset, cache_outbox"""


@pytest.fixture
async def bench(module_postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(module_postgres_dsn) as made:
        yield made


async def emptied(bench: Bench) -> None:
    await bench.connection.execute(f"TRUNCATE {_TABLES} CASCADE")
    await harness.begin(bench.connection)


def values(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Rows without what tells when and under which version."""
    blank = {"updated_at": harness.NOW, "raw_payload": {}}
    return {key: dataclasses.replace(row, **blank) for key, row in rows.items()}


def visible(made: Shadow) -> tuple[Any, ...]:
    return (values(made.products), values(made.entries), values(made.accounts), values(made.orders), made.hidden)


def known(state: State) -> dict[str, Any]:
    return dict(state.payload)


@REAL
@given(st.integers(0, 2**48))
async def test_any_arrival_ends_in_the_orgs_rows(bench: Bench, seed: int) -> None:
    rng = random.Random(seed)
    org = orgs.make(rng)
    await emptied(bench)
    before: dict[Key, State] = {}

    for batch in orgs.split(rng, Log().append(*org.messages)):
        await bench.apply(batch)
        now = await bench.states()
        assert_never_back(before, now)
        assert await bench.shadow() == shadow(MAPPING, now, await bench.statuses())
        before = now

    assert {key: known(state) for key, state in before.items()} == {
        key: known(state) for key, state in org.truth.items() if key in before
    }
    assert visible(await bench.shadow()) == visible(shadow(MAPPING, org.truth, await bench.statuses()))


def assert_never_back(before: Mapping[Key, State], now: Mapping[Key, State]) -> None:
    for key, state in before.items():
        for name in state.payload:
            assert (now[key].version(name) or "") >= (state.version(name) or "")


@REAL
@given(st.integers(0, 2**48))
async def test_a_replay_of_any_part_changes_nothing(bench: Bench, seed: int) -> None:
    rng = random.Random(seed)
    messages = orgs.make(rng).messages
    await emptied(bench)
    log = Log()
    await bench.apply(log.append(*messages))
    before = (await bench.states(), await bench.shadow())
    await bench.clear_outbox()

    start = rng.randrange(len(messages))
    for batch in orgs.split(rng, log.append(*messages[start:])):
        await bench.apply(batch)

    assert (await bench.states(), await bench.shadow()) == before
    assert await bench.tags() == set()


VALUES = st.sampled_from([None, True, False, 7, "x", "4980", "日本", ""])
FIELDS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), VALUES, max_size=4)


def _event(kind: Any, at: int, number: int, fields: dict[str, Any]) -> RecordChange:
    version = versions.event_version(harness.T0 + at * 1000, number, 1)
    return RecordChange(kind=kind, object="Product2", record_id="r", version=version, origin="cdc", fields=fields)


def _read(kind: Any, at: int, fields: dict[str, Any]) -> RecordChange:
    return RecordChange(
        kind=kind,
        object="Product2",
        record_id="r",
        version=versions.read_version(harness.T0 + at * 1000, 1000),
        origin="repair",
        fields=fields,
        covers="all" if kind == "snapshot" else None,
    )


CHANGES = st.one_of(
    st.builds(
        _event,
        st.sampled_from(["create", "update", "delete", "undelete", "dirty"]),
        st.integers(0, 5),
        st.integers(0, 2),
        FIELDS,
    ),
    st.builds(_read, st.sampled_from(["snapshot", "absent"]), st.integers(0, 7), FIELDS),
)


def _consistent(changes: list[RecordChange]) -> list[RecordChange]:
    """One version says one thing of one record."""
    said: dict[tuple[str, bool], RecordChange] = {}
    return [said.setdefault((each.version, each.kind == "dirty"), each) for each in changes]


@pytest.fixture
async def sql(module_postgres_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(module_postgres_dsn)
    yield connection
    await connection.close()


@settings(parent=REAL, max_examples=150)
@given(st.lists(CHANGES, max_size=4), st.lists(CHANGES, min_size=1, max_size=4))
async def test_the_join_in_sql_is_the_join_in_python(
    sql: Any, first: list[RecordChange], second: list[RecordChange]
) -> None:
    said = _consistent([*first, *second])
    left = join_all(state_of(each) for each in said[: len(first)])
    right = join_all(state_of(each) for each in said[len(first) :])
    await sql.execute("DELETE FROM sf_record")
    if first:
        await _join(sql, left)

    moved = await _join(sql, right)

    row = await sql.fetchrow("SELECT payload::text, base, newer::text, dirty FROM sf_record")
    found = State(msgspec.json.decode(row[0]), row[1], msgspec.json.decode(row[2]), row[3])
    assert found == join(left, right)
    assert bool(moved) == (not first or moves(left if first else EMPTY, right))


async def _join(sql: Any, state: State) -> list[Any]:
    found: list[Any] = await sql.fetch(
        statements("join.sql")["join_state"],
        ["Product2"],
        ["r"],
        [states.text(state.payload)],
        [state.base],
        [states.text(state.newer)],
        [state.dirty],
    )
    return found
