"""A start without a position says so in the log before the first event."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas import events, topics, versions
from schemas.events import Watermark
from services.ingestor import openings
from services.ingestor.outgoing import Record
from services.ingestor.position import Position

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORG = versions.millis(NOW) + 250
TOPIC, STATUSES = "/data/AccountChangeEvent", "/event/Order_Status__e"


def holes(records: list[Record]) -> list[Watermark]:
    found = [events.decode_change(r.message.value) for r in records if r.topic == topics.ACCOUNT.name]
    return [hole for hole in found if isinstance(hole, Watermark)]


def test_first_start_writes_its_hole_to_every_partition_and_then_its_checkpoint() -> None:
    opening = openings.first_start(TOPIC, ORG, NOW)
    records = opening.records

    assert [r.partition for r in records[:-1]] == list(range(topics.ACCOUNT.partitions))
    (hole,) = {(h.hole_id, h.hole_from, h.hole_to, h.basis) for h in holes(records)}
    until = ORG - versions.LATE_VISIBILITY_MS
    assert hole == (f"first:{TOPIC}:{until}", None, versions.moment(ORG - versions.LATE_VISIBILITY_MS), "hole")
    last = events.decode_checkpoint(records[-1].message.value)
    assert (records[-1].topic, records[-1].partition) == (topics.CHECKPOINT.name, topics.checkpoint_partition(TOPIC))
    assert (last.name, last.replay_id, last.heal) == (TOPIC, None, False)
    assert last.covered_from == opening.position.covered_from == versions.moment(ORG - versions.LATE_VISIBILITY_MS)


def test_start_after_a_lost_checkpoint_opens_a_hole_of_its_own() -> None:
    """The first one was closed for good by a backfill, which has not seen what came after it."""
    first, second = (holes(openings.first_start(TOPIC, at, NOW).records)[0].hole_id for at in (ORG, ORG + 60_000))

    assert first != second


def test_topic_of_a_platform_event_has_no_hole() -> None:
    (only,) = openings.first_start(STATUSES, ORG, NOW).records

    assert only.topic == topics.CHECKPOINT.name


def test_heal_covers_the_time_since_the_lost_position() -> None:
    lost = Position(replay_id="0a", event_at=versions.moment(ORG - 3_600_000))

    opening = openings.healed(TOPIC, lost, "subscription.fetch.replayid.corrupted", ORG, NOW)
    records = opening.records

    (hole,) = {(h.hole_id, h.hole_from, h.hole_to) for h in holes(records)}
    assert hole == (f"replay:0a:{ORG}", versions.moment(ORG - 3_603_000), versions.moment(ORG))
    last = events.decode_checkpoint(records[-1].message.value)
    assert (last.heal, last.replay_id, last.reason) == (True, None, "subscription.fetch.replayid.corrupted")
    assert last.covered_from == versions.moment(ORG)
    assert opening.position == Position(covered_from=versions.moment(ORG))


def test_heal_of_a_position_without_time_covers_everything_before() -> None:
    (hole, *_) = holes(openings.healed(TOPIC, Position(replay_id="0a"), "x", ORG, NOW).records)

    assert hole.hole_from is None
