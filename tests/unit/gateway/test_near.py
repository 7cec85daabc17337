"""The process's own memory: nothing read before a tag was told is put after it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.gateway import near as nears
from services.gateway.near import Near
from services.kernel.clock import SetClock
from tests.unit.gateway.made import entry

TAGS = ("catalog:all", "catalog:sku:A")


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime(2026, 11, 25, tzinfo=UTC))


@pytest.fixture
def near(clock: SetClock) -> Near:
    made = Near(clock, seconds=1.0, most_bytes=100)
    made.switch_on()
    return made


def test_an_answer_is_kept_for_its_life_and_no_longer(near: Near, clock: SetClock) -> None:
    assert near.put("a", TAGS, entry(), near.count)
    clock.advance(0.99)
    assert near.get("a") is not None

    clock.advance(0.01)

    assert near.get("a") is None


def test_an_answer_read_before_its_tag_was_told_is_not_put(near: Near) -> None:
    count = near.count

    near.told(["catalog:sku:A"])

    assert not near.put("a", TAGS, entry(), count)
    assert near.put("a", TAGS, entry(), near.count)


def test_a_told_tag_drops_what_lies_under_it_and_nothing_else(near: Near) -> None:
    near.put("a", TAGS, entry(), near.count)
    near.put("b", ("catalog:all", "catalog:sku:B"), entry(), near.count)

    assert near.told(["catalog:sku:A"]) == 1

    assert near.get("a") is None
    assert near.get("b") is not None
    assert near.told(["catalog:all"]) == 1
    assert near.get("b") is None


def test_other_tags_do_not_hold_up_a_put(near: Near) -> None:
    count = near.count

    near.told(["catalog:sku:B"])

    assert near.put("a", TAGS, entry(), count)


def test_a_read_from_before_the_subscription_is_not_put_after_it(near: Near) -> None:
    count = near.count

    near.switch_off()
    assert not near.put("a", TAGS, entry(), near.count)
    near.switch_on()

    assert near.get("a") is None
    assert not near.put("a", TAGS, entry(), count)
    assert near.put("a", TAGS, entry(), near.count)


def test_what_is_forgotten_of_told_tags_refuses_older_reads(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nears, "_TOLD_REMEMBERED", 2)
    count = near.count

    for name in ("A", "B", "C"):
        near.told([f"catalog:sku:{name}"])

    assert not near.put("a", TAGS, entry(), count)


def test_memory_is_bounded_by_bytes_the_oldest_going_first(near: Near) -> None:
    for name in "abc":
        near.put(name, TAGS, entry(body=b"x" * 40), near.count)

    assert [near.get(name) is not None for name in "abc"] == [False, True, True]
    assert not near.put("d", TAGS, entry(body=b"x" * 101), near.count)
