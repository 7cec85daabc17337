"""The ledger is a join of the watermarks: order, repetition and cut do not matter."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas import versions
from schemas.events import Watermark
from services.projector import spans
from services.projector.spans import Key, Reached, Span

MOMENTS = st.integers(0, 20).map(lambda n: versions.moment(1_700_000_000_000 + n * 1000))
MAYBE = st.none() | MOMENTS
MARKS = st.builds(
    Watermark,
    object=st.sampled_from(["Product2", "Account"]),
    basis=st.sampled_from(["stream", "delta", "full", "hole"]),
    origin=st.just("cdc"),
    covered_from=MAYBE,
    covered_until=MAYBE,
    replay_id=st.none() | st.sampled_from(["0a", "0b", "0c"]),
    job_id=st.none() | st.sampled_from(["j1", "j2"]),
    hole_id=st.none() | st.sampled_from(["h1", "h2"]),
    hole_from=MAYBE,
    hole_to=MAYBE,
    reason=st.none() | st.sampled_from(["gap", "first start"]),
    closes=st.lists(st.sampled_from(["h1", "h2"]), max_size=2).map(tuple),
)
LOGS = st.lists(st.tuples(st.integers(0, 1), MARKS), max_size=12)


def at(n: int) -> datetime:
    return versions.moment(1_700_000_000_000 + n * 1000)


def stream(since: int, until: int, replay_id: str) -> tuple[int, Watermark]:
    said: dict[str, Any] = {"covered_from": at(since), "covered_until": at(until), "replay_id": replay_id}
    return 0, Watermark(object="Product2", basis="stream", origin="cdc", **said)


@given(LOGS, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(log: list[tuple[int, Watermark]], rng: random.Random) -> None:
    again = [*log, *rng.choices(log, k=5)] if log else []
    rng.shuffle(again)

    for read in (spans.fold, spans.holes, spans.closed):
        assert read(again) == read(log)


@given(LOGS, st.integers(0, 12))
def test_cut_does_not_matter(log: list[tuple[int, Watermark]], cut: int) -> None:
    one, other = spans.fold(log[:cut]), spans.fold(log[cut:])
    both = {key: spans.join(one[key], other[key]) for key in one.keys() & other.keys()}

    assert {**one, **other, **both} == spans.fold(log)


def test_marks_of_a_contiguous_stream_are_one_span() -> None:
    made = spans.fold([stream(0, 5, "0b"), stream(0, 9, "0c"), stream(0, 2, "0a")])

    assert made == {
        Key("Product2", 0, "stream", at(0), ""): Span(Reached(at(2), "0a"), Reached(at(9), "0c")),
    }


def test_stream_that_begins_anew_is_another_span() -> None:
    assert len(spans.fold([stream(0, 5, "0b"), stream(7, 9, "0c")])) == 2


def test_a_read_that_ends_with_a_second_proves_all_of_it() -> None:
    until = versions.moment(versions.proven_until(1_700_000_036_500, 30_000))
    mark = Watermark(object="Product2", basis="full", origin="backfill", covered_until=until)

    assert [made.last.until for made in spans.fold([(0, mark)]).values()] == [at(6)]


def test_what_a_read_proves_ends_before_the_second_in_which_its_bound_lies() -> None:
    """Commit times may have whole seconds, and lie before the commit."""
    until = at(5).replace(microsecond=700_000)
    marks = [
        (0, Watermark(object="Product2", basis="full", origin="backfill", covered_until=until)),
        (0, Watermark(object="Product2", basis="stream", origin="cdc", covered_from=at(0), covered_until=until)),
        (0, Watermark(object="Product2", basis="delta", origin="delta", covered_from=until, covered_until=until)),
    ]

    assert {key.basis: made.last.until for key, made in spans.fold(marks).items()} == {"full": at(5), "stream": until}


@given(MARKS)
def test_only_a_full_read_covers_what_was_since_ever(mark: Watermark) -> None:
    key = spans.key_of(0, mark)

    if key is not None and key.covered_from is None:
        assert mark.basis == "full"
    if key is not None and key.covered_from is not None and mark.covered_until is not None:
        assert key.covered_from <= mark.covered_until


def test_hole_told_twice_is_as_wide_as_both_tell() -> None:
    def hole(since: int | None, until: int | None) -> tuple[int, Watermark]:
        said: dict[str, Any] = {
            "hole_id": "h",
            "hole_from": None if since is None else at(since),
            "hole_to": None if until is None else at(until),
        }
        return 0, Watermark(object="Product2", basis="hole", origin="cdc", **said)

    def width(*told: tuple[int, Watermark]) -> Any:
        (made,) = spans.holes(told).values()
        return made[:2]

    assert width(hole(1, 3), hole(2, 5)) == (at(1), at(5))
    assert width(hole(1, None), hole(2, 5)) == (at(1), None)
    assert width(hole(None, 3), hole(2, 5)) == (None, at(5))
