"""The coverage ledger on a real Postgres: what its views claim is what its watermarks say, however they arrive."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from schemas import topics, versions
from schemas.events import Message, RecordChange, Watermark
from services.kernel.clock import SYSTEM
from services.projector import spans
from services.projector.batch import Decoded
from services.projector.coverage_watch import CoverageWatch
from services.projector.dead_letters import DeadLetters
from services.projector.link import Link
from services.projector.log import LogRecord, Place
from services.projector.metrics import Metrics
from services.projector.spans import Key, Reached, Span
from tests.integration.projector import harness, orgs
from tests.integration.projector.harness import Bench, Log
from tests.support import covered_worlds, ranges
from tests.support.ranges import Range, Ranges

REAL = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
PRODUCT = "Product2"
EVER, NEVER = -(10**9), 10**9
"""Milliseconds after the harness's T0 that stand for no bound."""


@pytest.fixture
async def bench(module_postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(module_postgres_dsn) as made:
        await emptied(made)
        yield made


async def emptied(bench: Bench) -> None:
    tables = (
        "coverage_span, coverage_hole, coverage_closing, object_coverage, projection_offset, sf_record, dead_letter"
    )
    await bench.connection.execute(f"TRUNCATE {tables}")
    await harness.begin(bench.connection)


def at(ms: int | None) -> datetime | None:
    return None if ms is None else versions.moment(harness.T0 + ms)


def ms(moment: datetime | None, unbounded: int = EVER) -> int:
    return unbounded if moment is None else versions.millis(moment) - harness.T0


def stream(since: int, until: int, replay_id: str | None = None) -> Watermark:
    said: dict[str, Any] = {"covered_from": at(since), "covered_until": at(until), "replay_id": replay_id}
    return Watermark(object=PRODUCT, basis="stream", origin="cdc", **said)


def delta(since: int, until: int, job_id: str = "d", closes: tuple[str, ...] = ()) -> Watermark:
    said: dict[str, Any] = {"covered_from": at(since), "covered_until": at(until), "job_id": job_id, "phase": "end"}
    return Watermark(object=PRODUCT, basis="delta", origin="delta", closes=closes, **said)


def full(until: int, job_id: str = "f", closes: tuple[str, ...] = ()) -> Watermark:
    said: dict[str, Any] = {"covered_until": at(until), "job_id": job_id, "phase": "end"}
    return Watermark(object=PRODUCT, basis="full", origin="backfill", closes=closes, **said)


def hole(hole_id: str, since: int | None, until: int | None, reason: str = "gap") -> Watermark:
    said: dict[str, Any] = {"hole_id": hole_id, "hole_from": at(since), "hole_to": at(until), "reason": reason}
    return Watermark(object=PRODUCT, basis="hole", origin="cdc", **said)


async def claimed(bench: Bench, kind: str) -> Ranges:
    rows = await bench.connection.fetch(
        "SELECT covered_from, covered_until FROM coverage_range WHERE object = $1 AND kind = $2 ORDER BY covered_until",
        PRODUCT,
        kind,
    )
    return [(ms(row[0]), ms(row[1])) for row in rows]


async def kept(bench: Bench) -> dict[Key, Span]:
    rows = await bench.connection.fetch(
        "SELECT partition, basis, nullif(covered_from, '-infinity'), job_id, first_until, replay_from, covered_until, "
        "replay_to FROM coverage_span WHERE object = $1",
        PRODUCT,
    )
    return {Key(PRODUCT, *row[:4]): Span(Reached(*row[4:6]), Reached(*row[6:])) for row in rows}


async def freshness(bench: Bench) -> Any:
    return await bench.connection.fetchrow("SELECT * FROM object_freshness WHERE object = $1", PRODUCT)


# The pure function that the views are


def expected(said: Iterable[tuple[int, Watermark]]) -> tuple[Ranges, Ranges]:
    """Observed and proven, of marks with their partitions."""
    log = list(said)
    holes = open_holes(log)
    unstamped = [(a, b + 1_999) for hole_id, (a, b) in holes.items() if a == EVER or not hole_id.startswith("replay")]
    observed, full, by_delta = (
        [
            ranges.union(span(mark) for p, mark in log if p == partition and mark.basis == basis and is_span(mark))
            for partition in range(topics.PRODUCT.partitions)
        ]
        for basis in ("stream", "full", "delta")
    )
    proven = [ranges.union([*a, *ranges.without(b, unstamped)]) for a, b in zip(full, by_delta, strict=True)]
    seen = ranges.without(ranges.common(observed), holes.values())
    return [(rounded(a), rounded(b)) for a, b in seen], proven_up_to(ranges.common(proven))


def proven_up_to(proven: Ranges) -> Ranges:
    """A view names the moment that a read's range ends before."""
    return [(since, until + 1) for since, until in proven]


def open_holes(log: list[tuple[int, Watermark]]) -> dict[str, Range]:
    """A hole told twice is as wide as both tell, and open wherever one partition has it open."""
    closed = {(partition, hole_id) for partition, mark in log for hole_id in mark.closes}
    told: dict[str, list[Range]] = {}
    for partition, mark in log:
        if mark.basis == "hole" and (partition, mark.hole_id) not in closed:
            told.setdefault(mark.hole_id or "", []).append(range_of(mark))
    return {hole_id: (min(a for a, _ in each), max(b for _, b in each)) for hole_id, each in told.items()}


def rounded(moment: int) -> int:
    """A view names the bound of a hole itself, not the millisecond beside it. All times here are whole seconds."""
    return round(moment / 1000) * 1000


def is_span(mark: Watermark) -> bool:
    since, until = span(mark)
    return mark.covered_until is not None and since <= until


def span(mark: Watermark) -> Range:
    """A stream's holds its last moment, a read's does not."""
    return ms(mark.covered_from), ms(mark.covered_until) - (0 if mark.basis == "stream" else 1)


def range_of(mark: Watermark) -> Range:
    return ms(mark.hole_from), ms(mark.hole_to, NEVER)


TIMES = st.integers(0, 12).map(lambda n: n * 1000)
OPEN_ENDED = st.none() | TIMES
H = ("replay:1", "replay:2", "wildcard:3")
MARKS = st.one_of(
    st.builds(stream, TIMES, TIMES, st.sampled_from(["0a", "0b", "0c"])),
    st.builds(delta, TIMES, TIMES, st.sampled_from(["d1", "d2"]), st.sampled_from([(), H[:1], H[:2]])),
    st.builds(full, TIMES, st.sampled_from(["f1", "f2"]), st.sampled_from([(), H[1:2]])),
    st.tuples(st.sampled_from(H), OPEN_ENDED, TIMES).map(
        lambda drawn: hole(drawn[0], None if drawn[1] is None else min(drawn[1], drawn[2]), drawn[2])
    ),
)


@REAL
@given(st.lists(MARKS, max_size=10), st.integers(0, 2**32))
async def test_views_say_what_the_watermarks_say_in_any_order(bench: Bench, marks: list[Watermark], seed: int) -> None:
    """Every partition has read the log up to a place of its own, in another order, cut and repeated in its own way."""
    rng = random.Random(seed)
    await emptied(bench)
    said = [
        (partition, mark)
        for partition in range(topics.PRODUCT.partitions)
        for mark in rng.sample(marks, rng.choice((len(marks), rng.randint(0, len(marks)))))
    ]
    again = [*said, *(rng.choices(said, k=3) if said else [])]
    rng.shuffle(again)

    for batch in orgs.split(rng, records(again)):
        await bench.apply(batch)

    assert await kept(bench) == spans.fold(said)
    assert (await claimed(bench, "observed"), await claimed(bench, "proven")) == expected(said)


def records(said: Iterable[tuple[int, covered_worlds.Said]], log: Log | None = None) -> list[LogRecord]:
    """What is said as it lies in the log, each in its one partition."""
    log, made = log or Log(), list[LogRecord]()
    for partition, each in said:
        (record,) = (found for found in Log().append(each) if found.place.partition == partition)
        made.append(log.write(Place(topics.PRODUCT.name, partition), record.key, record.value))
    return made


@settings(REAL, max_examples=20)
@given(st.integers(0, 2**32))
async def test_proven_ranges_never_claim_what_a_row_lacks(bench: Bench, seed: int) -> None:
    """As in process, but by the views and the rows: after every batch, each partition at a place of its own."""
    rng = random.Random(seed)
    await emptied(bench)
    world = covered_worlds.make(
        rng, [harness.sf_id(PRODUCT, number) for number in range(1, 5)], silent=rng.choice((0, 0.3))
    )
    logs = [[(partition, said) for said in log] for partition, log in enumerate(world.log)]
    read: list[tuple[int, covered_worlds.Said]] = []
    log = Log()

    while any(logs):
        part = rng.choice([each for each in logs if each])
        size = rng.randint(1, 8)
        batch, part[:] = part[:size], part[size:]
        await bench.apply(records(batch, log))
        read += batch

        known = {key.record_id: state for key, state in (await bench.states()).items()}
        proven = [(harness.T0 + since, harness.T0 + until - 1) for since, until in await claimed(bench, "proven")]
        assert covered_worlds.false_claims(world.commits, proven, known) == []
        ends = [until for _, until in covered_worlds.proven(read)]
        assert [until for _, until in proven] == ends, "the views claim no less than the fold"


@settings(REAL, max_examples=20)
@given(st.integers(0, 2**32))
async def test_what_was_set_aside_is_not_proven(bench: Bench, seed: int) -> None:
    """Some records cannot be used and are passed over: what a read said in them is not in the rows."""
    rng = random.Random(seed)
    await emptied(bench)
    world = covered_worlds.make(
        rng, [harness.sf_id(PRODUCT, number) for number in range(1, 5)], silent=rng.choice((0, 0.3))
    )
    logs = [[(partition, said) for said in log] for partition, log in enumerate(world.log)]
    log = Log()

    while any(logs):
        part = rng.choice([each for each in logs if each])
        size = rng.randint(1, 8)
        batch, part[:] = part[:size], part[size:]
        await bench.apply([spoilt(rng, each) for each in records(batch, log)], outlet=aside)

        known = {key.record_id: state for key, state in (await bench.states()).items()}
        proven = [(harness.T0 + since, harness.T0 + until - 1) for since, until in await claimed(bench, "proven")]
        assert covered_worlds.false_claims(world.commits, proven, known) == []


def spoilt(rng: random.Random, record: LogRecord) -> LogRecord:
    return msgspec.structs.replace(record, value=b"{") if record.key is not None and rng.random() < 0.15 else record


async def aside(link: Link, rejected: Sequence[Decoded]) -> None:
    async def sent(message: Message) -> None:
        """Nobody reads the letter here."""

    await DeadLetters(sent, limit=10_000, clock=SYSTEM).take(link, rejected)


async def test_a_read_that_began_after_a_record_was_set_aside_proves_again(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(full(1_000, "before")))
    bad = [msgspec.structs.replace(record, value=b"{") for record in log.append(harness.product(1, "A"))]
    await bench.apply(bad, outlet=aside)
    await bench.apply(log.append(full(2_000, "holds it")))
    spoilt_claim = await claimed(bench, "proven")
    later = int((datetime.now(UTC) - harness.NOW).total_seconds() * 1000) // 1000 * 1000 + 60_000

    await bench.apply(log.append(full(later, "after")))

    assert spoilt_claim == [(EVER, 1_000)]
    assert await claimed(bench, "proven") == [(EVER, later)]


async def test_a_hole_stays_open_while_a_record_of_the_read_that_closes_it_was_set_aside(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(stream(0, 9_000), hole("replay:1", 3_000, 4_000)))
    bad = spoilt_read(log.append(harness.product(1, "A")))
    await bench.apply([*bad, *log.append(full(50_000, "lost one", closes=("replay:1",)))], outlet=aside)
    before = await freshness(bench)

    await bench.apply(log.append(full(later(), "has all", closes=("replay:1",))))

    assert (before["open_holes"], before["observed_until"]) == (1, at(3_000))
    assert (await freshness(bench))["open_holes"] == 0


async def test_a_record_set_aside_later_opens_no_closed_hole_again(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(hole("replay:1", 3_000, 4_000), full(later(-60_000), closes=("replay:1",))))

    await bench.apply(spoilt_read(log.append(harness.product(1, "A"))), outlet=aside)
    await bench.apply(log.append(full(later(-60_000), closes=("replay:1",))))

    assert (await freshness(bench))["open_holes"] == 0


async def test_a_change_that_was_set_aside_is_a_hole_from_what_was_covered_before_it(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(full(5_000), stream(0, 9_000)))
    (bad,) = log.append(harness.change("update", PRODUCT, 1, Name="A"))
    lost = [msgspec.structs.replace(bad, value=b"{"), *log.append(stream(0, 20_000))]
    await bench.apply(lost, outlet=aside)
    before = await freshness(bench)
    (opened,) = await bench.connection.fetch("SELECT hole_id, kind, hole_from FROM open_hole")

    await bench.apply(log.append(full(later(), closes=(opened["hole_id"],))))

    assert (before["open_holes"], before["observed_until"]) == (1, at(9_000))
    assert (opened["kind"], opened["hole_from"]) == ("letter", at(9_000))
    assert (await freshness(bench))["open_holes"] == 0


@pytest.mark.parametrize(("hole_id", "until"), [("wildcard:1", 6_000), ("overflow:1", 6_000), ("replay:1", 9_000)])
async def test_a_delta_proves_nothing_where_changes_without_a_stamp_may_be_missing(
    bench: Bench, hole_id: str, until: int
) -> None:
    log = Log()
    await bench.apply(log.append(full(5_000), delta(4_000, 9_000), hole(hole_id, 6_000, 6_000)))
    before = await freshness(bench)

    await bench.apply(log.append(full(8_000, "all", closes=(hole_id,))))

    assert before["proven_until"] == at(until)
    assert await claimed(bench, "proven") == [(EVER, 9_000)]


def spoilt_read(records: list[LogRecord]) -> list[LogRecord]:
    """A read's record whose content does not fit, as another mapping would have made it."""
    broken = {"kind": "snapshot", "object": PRODUCT, "origin": "backfill", "version": "1"}
    return [msgspec.structs.replace(record, value=msgspec.json.encode(broken)) for record in records]


def later(ms_after: int = 60_000) -> int:
    """As milliseconds of the harness: whole seconds, beside the clock that letters are dated by."""
    return int((datetime.now(UTC) - harness.NOW).total_seconds() * 1000) // 1000 * 1000 + ms_after


# One by one


async def test_a_span_counts_only_as_far_as_the_slowest_partition(bench: Bench) -> None:
    await bench.apply(records([(partition, stream(0, until)) for partition, until in enumerate((9, 5, 7, 8))]))

    assert await claimed(bench, "observed") == [(0, 5)]


async def test_a_partition_without_a_row_counts_as_never(bench: Bench) -> None:
    await bench.apply(records([(partition, mark) for partition in range(3) for mark in (stream(0, 9), full(5))]))

    assert await claimed(bench, "observed") == []
    assert await claimed(bench, "proven") == []
    assert (await freshness(bench))["proven_until"] is None


async def test_a_hole_is_taken_out_of_what_is_observed_until_it_is_closed(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(stream(0, 9_000), hole("h", 3_000, 4_000)))
    before = await claimed(bench, "observed")

    await bench.apply(log.append(delta(2_000, 8_000, closes=("h",))))

    assert before == [(0, 3_000), (4_000, 9_000)]
    assert await claimed(bench, "observed") == [(0, 9_000)]


async def test_a_hole_takes_nothing_from_what_reads_have_proven(bench: Bench) -> None:
    await bench.apply(Log().append(full(9_000), hole("h", 3_000, 4_000)))

    assert await claimed(bench, "proven") == [(EVER, 9_000)]


async def test_a_delta_that_does_not_reach_back_to_the_last_read_leaves_a_gap_in_what_is_proven(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(full(3_000), delta(4_000, 9_000, "d1")))
    before = await freshness(bench)

    await bench.apply(log.append(delta(2_000, 5_000, "d2")))

    assert before["proven_until"] == at(3_000)
    assert (await freshness(bench))["proven_until"] == at(9_000)


async def test_a_span_tells_by_what_it_is_covered(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(stream(0, 3_000, "0a"), stream(0, 6_000, "0c"), full(2_000, "job")))

    rows = await bench.connection.fetch(
        "SELECT basis, covered_from, covered_until, job_id, replay_from, replay_to FROM coverage_by ORDER BY basis"
    )

    assert [tuple(row) for row in rows] == [
        ("full", None, at(2_000), "job", None, None),
        ("stream", at(0), at(6_000), None, "0a", "0c"),
    ]


async def test_a_stream_watermark_closes_a_hole_too(bench: Bench) -> None:
    log = Log()
    mark = Watermark(object=PRODUCT, basis="stream", origin="cdc", closes=("h",))

    await bench.apply(log.append(hole("h", 1, 2), mark))

    assert await bench.connection.fetchval("SELECT count(*) FROM open_hole") == 0


# What the projector tells of it


@pytest.fixture
def metrics() -> CollectorRegistry:
    return CollectorRegistry()


def watch(bench: Bench, metrics: CollectorRegistry, kept_for: timedelta = timedelta(days=60)) -> CoverageWatch:
    return CoverageWatch(bench.connection, Metrics(metrics), SYSTEM, kept_for)


async def test_what_is_not_covered_is_told_in_metrics(bench: Bench, metrics: CollectorRegistry) -> None:
    log = Log()
    watching = watch(bench, metrics)
    await bench.apply(log.append(stream(0, 9_000), full(5_000), hole("overflow:0a", 6_000, 6_000), dirty()))

    await watching.look()

    lag = {"object": PRODUCT, "kind": "proven"}
    reason = {"object": PRODUCT, "reason": "overflow"}
    assert metrics.get_sample_value("projector_coverage_lag_seconds", lag) == pytest.approx(since(5_000), abs=60)
    assert metrics.get_sample_value("projector_hole_age_seconds", reason) == pytest.approx(since(6_000), abs=60)
    assert metrics.get_sample_value("projector_open_holes", reason) == 1
    assert metrics.get_sample_value("projector_repairs_due", {"object": PRODUCT, "reason": "dirty"}) == 1
    never = {"object": "Account", "kind": "observed"}
    assert metrics.get_sample_value("projector_coverage_lag_seconds", never) == math.inf


async def test_a_hole_that_was_closed_leaves_the_metrics(bench: Bench, metrics: CollectorRegistry) -> None:
    log = Log()
    watching = watch(bench, metrics)
    await bench.apply(log.append(hole("overflow:0a", 6_000, 6_000)))
    await watching.look()

    await bench.apply(log.append(full(50_000, closes=("overflow:0a",))))
    await watching.look()

    assert metrics.get_sample_value("projector_open_holes", {"object": PRODUCT, "reason": "overflow"}) is None


async def test_old_history_is_dropped_but_never_the_newest_of_a_basis(bench: Bench, metrics: CollectorRegistry) -> None:
    log = Log()
    await bench.apply(log.append(full(1_000, "f1"), full(2_000, "f2"), stream(0, 500), stream(900, 3_000)))
    await bench.apply(log.append(delta(0, 2_000, "d1"), delta(1_000, 4_000, "d2")))
    before = (await claimed(bench, "proven"), await freshness(bench))

    await watch(bench, metrics, kept_for=timedelta(0)).drop()

    left = {(key.basis, span.last.until) for key, span in (await kept(bench)).items()}
    assert left == {("full", at(2_000)), ("delta", at(4_000)), ("stream", at(3_000))}
    assert (await claimed(bench, "proven"), await freshness(bench)) == before


async def test_young_history_stays(bench: Bench, metrics: CollectorRegistry) -> None:
    now = int((datetime.now(UTC) - harness.NOW).total_seconds() * 1000)
    await bench.apply(Log().append(full(now - 60_000, "f1"), full(now, "f2")))

    await watch(bench, metrics, kept_for=timedelta(days=30)).drop()

    assert len(await kept(bench)) == 2 * topics.PRODUCT.partitions


async def test_only_holes_closed_long_ago_are_forgotten(bench: Bench, metrics: CollectorRegistry) -> None:
    await bench.apply(Log().append(hole("a", 1, 2), hole("b", 1, 2), full(50_000, closes=("b",))))

    await watch(bench, CollectorRegistry(), kept_for=timedelta(days=30)).drop()
    young = await bench.connection.fetchval("SELECT count(DISTINCT hole_id) FROM coverage_hole")
    await watch(bench, metrics, kept_for=timedelta(0)).drop()

    assert young == 2
    assert await bench.connection.fetchval("SELECT array_agg(DISTINCT hole_id) FROM coverage_hole") == ["a"]


def since(ms_after: int) -> float:
    """Seconds from a moment of the harness until now."""
    return (datetime.now(UTC) - harness.NOW).total_seconds() - ms_after / 1000


def dirty() -> RecordChange:
    return harness.change("dirty", PRODUCT, 1)
