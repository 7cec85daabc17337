"""The letters alone say what is open, whatever was done about it and how often it failed."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from schemas.events import DeadLetter
from services.ingestor.repair import letters

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LETTER = DeadLetter(
    stage="decode", reason="r", seen_at=NOW, topic="/data/Product2ChangeEvent", replay_id="0b", before_replay_id="0a"
)


def test_event_that_fails_again_is_one_case() -> None:
    (case,) = letters.cases([LETTER, LETTER])

    assert (case.id, case.state, case.times) == ("/data/Product2ChangeEvent:0b", "open", 2)


def test_last_word_counts_and_keeps_the_letters_own_reason() -> None:
    dropped = replace(LETTER, resolution="dropped", reason="a test")

    (case,) = letters.cases([LETTER, dropped])
    (again,) = letters.cases([LETTER, dropped, LETTER])

    assert (case.state, case.said, case.letter.reason) == ("dropped", "a test", "r")
    assert (again.state, again.times) == ("open", 2)


def test_event_without_a_position_is_named_by_the_one_before_it() -> None:
    assert letters.id_of(replace(LETTER, replay_id="")) == "/data/Product2ChangeEvent:after-0a"


def test_record_of_the_log_that_two_lists_hold_is_there_once() -> None:
    applied = DeadLetter(stage="apply", reason="r", seen_at=NOW, topic="sf.order.v1", partition=2, offset=7)

    (case,) = letters.cases([applied, applied])

    assert (case.id, case.times) == ("sf.order.v1:2:7", 1)
