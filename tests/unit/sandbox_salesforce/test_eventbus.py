"""Replay: positions, gaps, retention, and quiet topics."""

import asyncio

from sandbox.salesforce import replay
from sandbox.salesforce.eventbus import RETENTION_MS, EventBus, StoredEvent, Topic


def filled(count: int) -> Topic:
    topic = Topic("/event/X__e", "schema")
    for at in range(count):
        topic.append(StoredEvent(topic.name, topic.next_number(), at * 1000, f"id{at}", "schema", b"x"))
    return topic


def test_numbers_grow_with_holes_and_survive_their_wire_form() -> None:
    numbers = [e.number for e in filled(50).entries]

    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] > 50
    assert [replay.decode(replay.encode(n)) for n in numbers] == numbers


def test_the_wire_form_is_ten_bytes_and_the_number_alone_is_taken_back() -> None:
    # The position of the real event under tests/data.
    assert replay.encode(487259) == bytes([0, 0, 0, 0, 0, 7, 111, 91, 0, 0])
    assert replay.decode(replay.encode(487259)[:8]) == 487259
    assert replay.decode(b"123456789") is None
    assert replay.decode(b"\0" * 8 + b"xx") is None


def test_after_skips_markers_and_respects_the_limit() -> None:
    topic = filled(5)
    topic.append(StoredEvent(topic.name, topic.next_number(), 6000))
    start = topic.entries[0].number

    assert [e.id for e in topic.after(start, 3)] == ["id1", "id2", "id3"]
    assert [e.id for e in topic.after(topic.before_first(), 100)] == [f"id{i}" for i in range(5)]
    assert topic.after(topic.tip(), 10) == []


def test_retention_forgets_old_positions_but_never_the_tip() -> None:
    topic = filled(10)
    first, last = topic.entries[0].number, topic.entries[-1].number
    topic.prune(RETENTION_MS + 4000)
    assert not topic.knows(first)
    assert [e.id for e in topic.after(topic.before_first(), 100)] == [f"id{i}" for i in range(4, 10)]

    topic.prune(RETENTION_MS * 9)
    assert topic.tip() == last
    assert topic.knows(last)


def test_only_issued_positions_are_known() -> None:
    topic = filled(4)
    hole = next(a.number + 1 for a in topic.entries if not topic.knows(a.number + 1))

    assert not topic.knows(hole)
    assert all(topic.knows(e.number) for e in topic.entries)


async def test_release_wakes_each_watcher_of_its_topic() -> None:
    bus = EventBus([Topic("a", "s"), Topic("b", "s")])
    here, there = asyncio.Event(), asyncio.Event()
    bus.topics["a"].watch(here)
    bus.topics["b"].watch(there)
    bus.release([StoredEvent("a", 1, 0, "i", "s", b"x")])

    assert (here.is_set(), there.is_set()) == (True, False)
