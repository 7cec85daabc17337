"""Which records a replay reads, and how fast."""

from __future__ import annotations

import pytest

from services.kernel.kafka import partition_of
from services.projector.log import Place
from services.projector.replay import spans
from services.projector.replay.spans import Known, Pace, Refused, Span, Wish

TOPIC = "sf.product2.v1"
KEY = "01t000000000001AAA"


def place(partition: int) -> Place:
    return Place(TOPIC, partition)


def known(**of: Known) -> dict[Place, Known]:
    plain = {place(partition): Known(0, 100, 100) for partition in range(4)}
    return {**plain, **{place(int(name[1:])): each for name, each in of.items()}}


def test_all_is_read_up_to_where_the_projection_stands() -> None:
    found = spans.spans(Wish(topic=TOPIC, beginning=True), known(p0=Known(7, 100, 80), p1=Known(0, 100, None)))

    assert found == [Span(place(0), 7, 80), Span(place(2), 0, 100), Span(place(3), 0, 100)]


def test_only_the_partitions_that_were_named_are_read() -> None:
    wish = Wish(topic=TOPIC, offsets={2: 40}, until={2: 60, 3: 5})

    assert spans.spans(wish, known()) == [Span(place(2), 40, 60)]


def test_one_record_has_one_partition() -> None:
    partition = partition_of(KEY, 4)

    assert spans.spans(Wish(topic=TOPIC, key=KEY), known()) == [Span(place(partition), 0, 100)]


def test_times_become_offsets() -> None:
    of = {place(partition): Known(0, 100, 100, since=30, until=50) for partition in range(3)}
    of[place(3)] = Known(0, 100, 100, since=None)

    found = spans.spans(Wish(topic=TOPIC, since_ms=1, until_ms=2), of)

    assert found == [Span(place(partition), 30, 50) for partition in range(3)]


@pytest.mark.parametrize(
    ("wish", "of", "why"),
    [
        (Wish(topic=TOPIC, offsets={0: 3}), known(p0=Known(9, 100, 100)), "3 is gone, the log begins at 9"),
        (Wish(topic=TOPIC, offsets={0: 101}), known(), "ends at 100"),
        (Wish(topic=TOPIC, offsets={7: 0}), known(), "no partition 7"),
        (Wish(topic=TOPIC, beginning=True), known(p2=Known(0, 9, 9, anew=True)), "umbra rebuild"),
        (Wish(topic=TOPIC, since_ms=1), known(p1=Known(9, 100, 100, since=9)), "--from-beginning"),
        (Wish(topic=TOPIC, since_ms=1), known(p1=Known(9, 9, 9)), "--from-beginning"),
    ],
)
def test_what_the_log_does_not_hold_is_refused(wish: Wish, of: dict[Place, Known], why: str) -> None:
    with pytest.raises(Refused, match=why):
        spans.spans(wish, of)


def test_the_same_wish_has_the_same_words() -> None:
    assert Wish(topic=TOPIC, offsets={1: 2, 0: 3}).text == Wish(topic=TOPIC, offsets={0: 3, 1: 2}).text
    assert Wish(topic=TOPIC, key=KEY).text != Wish(topic=TOPIC, key=KEY, repair=True).text


def test_a_pace_is_kept_and_a_slow_batch_is_not_made_up_for() -> None:
    pace = Pace(100.0)

    first = pace.wait(50, 0, began=10.0, now=10.1)
    slow = pace.wait(50, 0, began=10.5, now=14.0)
    after = pace.wait(50, 0, began=14.0, now=14.1)

    assert (round(first, 3), slow, round(after, 3)) == (0.4, 0.0, 0.4)


def test_the_time_left_is_of_the_slower_of_limit_and_work() -> None:
    assert spans.seconds(10_000, rate=1_000, measured=5_000) == 10
    assert spans.seconds(10_000, rate=5_000, measured=1_000) == 10


@pytest.mark.parametrize(("rate", "most"), [(1, 1), (100, 10), (2_000, 200), (1_000_000, 250)])
def test_no_lock_is_held_for_longer_than_a_share_of_a_second(rate: int, most: int) -> None:
    assert spans.most_records(rate) == most
