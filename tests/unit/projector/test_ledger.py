"""What Kafka may be told: never past what is applied, nor past the oldest batch whose caches are not told."""

from __future__ import annotations

from services.projector.engine.ledger import Ledger, Standing
from services.projector.log import Place

PLACE = Place("sf.product2.v1", 0)


def ledger(applied: int = 10, start: int = 10) -> Ledger:
    made = Ledger()
    made.assign({PLACE: Standing(applied=applied, read=start, position=start, end=start, told=start)})
    return made


def test_without_tags_what_is_applied_may_be_committed() -> None:
    made = ledger()

    made.applied({PLACE: 15}, [])

    assert made.committable() == {PLACE: 15}


def test_an_untold_batch_holds_the_commit_until_it_is_told() -> None:
    made = ledger()
    made.applied({PLACE: 15}, [PLACE])
    made.applied({PLACE: 20}, [])

    held = made.committable()
    made.told(PLACE, 15)

    assert held == {PLACE: 10}
    assert made.committable() == {PLACE: 20}


def test_telling_the_older_of_two_batches_frees_only_it() -> None:
    made = ledger()
    made.applied({PLACE: 15}, [PLACE])
    made.applied({PLACE: 20}, [PLACE])

    made.told(PLACE, 15)

    assert made.committable() == {PLACE: 15}
    assert not made.all_told


def test_the_position_is_taken_over_only_when_all_that_was_read_is_applied() -> None:
    made = ledger()
    made.read(PLACE, 15)
    made.reach(PLACE, 17, 17)

    before = made.over_markers()
    made.applied({PLACE: 15}, [])

    assert before == {}
    assert made.over_markers() == {PLACE: (15, 17)}


def test_a_settled_position_leaves_no_backlog() -> None:
    made = ledger()
    made.read(PLACE, 15)
    made.reach(PLACE, 17, 17)
    made.applied({PLACE: 15}, [])

    made.settled(PLACE, 17)

    assert made.committable() == {PLACE: 17}
    assert made.backlog() == {"sf.product2.v1": 0}


def test_a_start_below_what_is_applied_is_no_reason_to_commit_less_than_it() -> None:
    made = ledger(applied=20, start=10)

    assert made.committable() == {PLACE: 20}


def test_news_of_a_partition_taken_away_is_ignored() -> None:
    made = ledger()
    made.assign({})

    made.applied({PLACE: 15}, [PLACE])
    made.told(PLACE, 15)

    assert made.committable() == {}


def test_untold_names_the_newest_batch() -> None:
    made = ledger()
    made.applied({PLACE: 15}, [PLACE])
    made.applied({PLACE: 20}, [PLACE])

    assert made.untold() == {PLACE: 20}
