"""A stored position only moves forward, whatever comes, and by nothing but events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Checkpoint
from services.ingestor import position as positions
from services.ingestor.position import TOLERANCE, Position

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MORNING = NOON - timedelta(hours=6)
AT_NOON = Position(replay_id="0a", event_at=NOON, covered_from=MORNING)


def test_no_checkpoint_is_the_earliest() -> None:
    assert positions.of(None) == Position()
    assert positions.of(None).after is None


def test_checkpoint_gives_back_what_was_stored() -> None:
    stored = Checkpoint(name="t", written_at=NOON, replay_id="00ff00", event_at=NOON)

    assert positions.of(stored).after == b"\x00\xff\x00"
    assert positions.of(stored).event_at == NOON


def test_position_comes_back_whole_from_its_checkpoint() -> None:
    assert positions.of(AT_NOON.checkpoint("t", NOON)) == AT_NOON


def test_checkpoint_that_does_not_say_is_contiguous_from_its_own_time_on() -> None:
    stored = Checkpoint(name="t", written_at=NOON, replay_id="0a", event_at=NOON)

    assert positions.of(stored).covered_from == NOON - timedelta(seconds=3)


def test_stream_without_a_past_is_contiguous_from_its_first_event_on() -> None:
    begun = positions.advanced(Position(), b"\x0a", NOON)
    later = positions.advanced(begun, b"\x0b", NOON + timedelta(hours=1))

    assert begun.covered_from == later.covered_from == NOON - timedelta(seconds=3)


def test_healed_checkpoint_is_the_earliest_again() -> None:
    assert positions.of(Checkpoint(name="t", written_at=NOON, heal=True)).after is None


def test_newer_event_moves_the_position() -> None:
    moved = positions.advanced(AT_NOON, b"\x0b", NOON + timedelta(seconds=1))

    assert moved == replace(AT_NOON, replay_id="0b", event_at=NOON + timedelta(seconds=1))


def test_slightly_older_event_moves_the_position_and_not_its_time() -> None:
    moved = positions.advanced(AT_NOON, b"\x0b", NOON - TOLERANCE)

    assert moved == replace(AT_NOON, replay_id="0b")


def test_event_of_long_before_moves_nothing() -> None:
    old = NOON - TOLERANCE - timedelta(milliseconds=1)

    assert positions.went_back(AT_NOON, old)
    assert positions.advanced(AT_NOON, b"\x0b", old) == AT_NOON


def test_event_without_a_replay_id_moves_nothing() -> None:
    assert positions.advanced(AT_NOON, b"", NOON + timedelta(hours=1)) == AT_NOON


moves = st.lists(st.tuples(st.binary(max_size=10), st.integers(-200, 200)), max_size=30)


@given(moves)
def test_time_of_a_position_never_goes_back(steps: list[tuple[bytes, int]]) -> None:
    position = AT_NOON
    for replay_id, seconds in steps:
        after = positions.advanced(position, replay_id, NOON + timedelta(seconds=seconds))

        assert after.event_at is not None
        assert position.event_at is not None
        assert after.event_at >= position.event_at
        assert after.replay_id in (position.replay_id, replay_id.hex())
        position = after


def test_covered_until_leaves_room_for_what_is_not_visible_yet() -> None:
    assert positions.covered_until(NOON) == NOON - timedelta(seconds=3)
