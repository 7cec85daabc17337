"""A batch is everything that arrived, in order; what cannot be read is set aside with a hole around its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schemas import mapping, versions
from schemas.events import Watermark
from services.ingestor.batch import Reader
from services.ingestor.inversions import Inversions
from services.ingestor.position import Position
from services.salesforce.pubsub.avro import EventSchema
from services.salesforce.pubsub.errors import Interrupted, SchemaRefused
from services.salesforce.pubsub.subscription import Delivery, Fetched
from tests.unit.pubsub.events import COMMIT_MS, COMMIT_NUMBER, bits, payload, schema

TOPIC, STATUSES = "/data/Product2ChangeEvent", "/event/Order_Status__e"
PRODUCT = schema("Product2", {"Name": "string", "IsActive": "boolean"})
ORDER = schema("Order", {"Status": "string", "AccountId": "string"})
IDS = [f"01t00000000000{n}" for n in ("1AAA", "2AAA", "3AAA")]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECEIVED = COMMIT_MS + 400
START = Position(
    replay_id="01",
    event_at=versions.moment(COMMIT_MS - 60_000),
    covered_from=versions.moment(COMMIT_MS - 3_600_000),
)


def made(of: EventSchema, replay: int, kind: str, record_id: str, **body: object) -> Delivery:
    header = {
        "entityName": of.name.removesuffix("ChangeEvent"),
        "recordIds": [record_id],
        "changeType": kind,
        "changeOrigin": "",
        "transactionKey": f"key-{replay}",
        "sequenceNumber": 1,
        "commitTimestamp": COMMIT_MS + replay,
        "commitNumber": COMMIT_NUMBER + replay,
        "commitUser": "",
        "nulledFields": [],
        "diffFields": [],
        "changedFields": bits(of, body) if kind == "UPDATE" else [],
    }
    return Delivery(bytes([replay]), of.id, payload(of, {"ChangeEventHeader": header, **body}))


def reader(*known: EventSchema, topic: str = TOPIC, error: Exception | None = None) -> Reader:
    by_id = {of.id: of for of in known}

    async def get(schema_id: str) -> EventSchema:
        if schema_id not in by_id:
            raise error or SchemaRefused("schema.validation.failed", "unknown")
        return by_id[schema_id]

    return Reader(topic, mapping.load(), get)


def fetched(*deliveries: Delivery, latest: bytes = b"") -> Fetched:
    return Fetched(deliveries, latest, RECEIVED)


async def test_changes_keep_their_order_and_the_last_gives_the_position() -> None:
    arrived = [
        fetched(made(PRODUCT, 2, "CREATE", IDS[0], Name="a"), made(PRODUCT, 3, "UPDATE", IDS[0], Name="b")),
        fetched(made(PRODUCT, 4, "DELETE", IDS[1])),
    ]

    batch = await reader(PRODUCT).read(arrived, START, NOW)

    assert [(c.record_id, c.kind) for c in batch.changes] == [
        (IDS[0], "create"),
        (IDS[0], "update"),
        (IDS[1], "delete"),
    ]
    assert batch.position == replace(
        START,
        replay_id="04",
        event_at=versions.moment(COMMIT_MS + 4),
        covered_from=batch.position.covered_from,
        newest=batch.changes[-1].version,
    )
    assert batch.deliveries == 3
    assert batch.newest == versions.moment(COMMIT_MS + 4)


async def test_quiet_response_moves_the_position_to_the_orgs_own_time() -> None:
    batch = await reader().read([fetched(latest=b"\x09")], START, NOW)

    assert batch.position == replace(START, replay_id="09", event_at=versions.moment(RECEIVED))
    assert (batch.deliveries, batch.changes, batch.newest) == (0, [], versions.moment(RECEIVED))


async def test_order_change_reports_its_status_beside_the_change() -> None:
    batch = await reader(ORDER, topic="/data/OrderChangeEvent").read(
        [fetched(made(ORDER, 2, "UPDATE", "801000000000001AAA", Status="Activated"))], START, NOW
    )

    assert [change.fields["Status"] for change in batch.changes] == ["Activated"]
    assert [status.status for status in batch.statuses] == ["Activated"]


async def test_broken_event_is_set_aside_and_what_follows_is_read() -> None:
    broken = Delivery(b"\x03", PRODUCT.id, b"\x01\x02")
    arrived = [fetched(made(PRODUCT, 2, "DELETE", IDS[0]), broken, made(PRODUCT, 4, "DELETE", IDS[1]))]

    batch = await reader(PRODUCT).read(arrived, START, NOW)

    (letter,) = batch.letters
    (hole,) = batch.holes
    assert [change.record_id for change in batch.changes] == [IDS[0], IDS[1]]
    assert (letter.replay_id, letter.before_replay_id, letter.schema_id) == ("03", "02", PRODUCT.id)
    assert hole == Watermark(
        object="Product2",
        basis="hole",
        origin="cdc",
        hole_id="undecodable:03",
        hole_from=versions.moment(COMMIT_MS + 2 - versions.LATE_VISIBILITY_MS),
        hole_to=versions.moment(RECEIVED),
        reason="undecodable",
    )
    assert batch.position.replay_id == "04"


async def test_broken_event_at_the_end_is_passed() -> None:
    batch = await reader(PRODUCT).read([fetched(Delivery(b"\x03", PRODUCT.id, b""))], START, NOW)

    assert batch.position == replace(START, replay_id="03")


async def test_schema_that_salesforce_refuses_sets_its_events_aside() -> None:
    batch = await reader().read([fetched(made(PRODUCT, 2, "DELETE", IDS[0]))], START, NOW)

    assert len(batch.letters) == 1


async def test_schema_that_cannot_be_had_just_now_stops_the_batch() -> None:
    waiting = reader(error=Interrupted("schema.api.unavailable", ""))

    with pytest.raises(Interrupted):
        await waiting.read([fetched(made(PRODUCT, 2, "DELETE", IDS[0]))], START, NOW)


async def test_broken_platform_event_opens_no_hole() -> None:
    batch = await reader(PRODUCT, topic=STATUSES).read([fetched(Delivery(b"\x03", PRODUCT.id, b""))], START, NOW)

    assert (len(batch.letters), batch.holes) == (1, [])


async def test_reason_of_a_dead_letter_holds_no_value() -> None:
    wrong = schema("Product2", {"IsActive": "string"})

    batch = await reader(wrong).read([fetched(made(wrong, 2, "CREATE", IDS[0], IsActive="secret"))], START, NOW)

    (letter,) = batch.letters
    assert "IsActive" in letter.reason
    assert "secret" not in letter.reason


async def test_service_that_repeats_itself_is_noticed_and_moves_nothing() -> None:
    ahead = Position(replay_id="99", event_at=versions.moment(COMMIT_MS + 3_600_000))

    batch = await reader(PRODUCT).read([fetched(made(PRODUCT, 2, "DELETE", IDS[0]))], ahead, NOW)

    assert batch.position == replace(ahead, newest=batch.changes[0].version)
    assert (batch.went_back, len(batch.changes)) == (1, 1)


async def test_delivery_of_what_is_in_the_log_is_left_out_and_leaves_the_position() -> None:
    first, second = made(PRODUCT, 2, "CREATE", IDS[0], Name="a"), made(PRODUCT, 3, "CREATE", IDS[1], Name="b")
    of = reader(PRODUCT)
    before = await of.read([fetched(first, second)], START, NOW)

    again = await of.read([fetched(replace(first, replay_id=b"\x02"))], before.position, NOW)

    assert (again.changes, again.repeated, again.deliveries) == ([], 1, 1)
    assert again.position == before.position


async def test_status_of_a_change_delivered_again_is_not_told_again() -> None:
    order = made(ORDER, 2, "CREATE", "801000000000001AAA", Status="Draft", AccountId="001000000000001AAA")
    of = reader(ORDER, topic="/data/OrderChangeEvent")

    batch = await of.read([fetched(order, order)], START, NOW)

    assert (len(batch.changes), len(batch.statuses), batch.repeated) == (1, 1, 1)


async def test_what_a_healed_stream_tells_again_is_written_counted_and_moves_on() -> None:
    told = [made(PRODUCT, n, "CREATE", IDS[n % 3], Name="a") for n in (2, 3, 4)]
    known = await reader(PRODUCT).read([fetched(*told[:2])], START, NOW)
    healed = Position(again_until=known.position.newest)

    batch = await reader(PRODUCT).read([fetched(*told)], healed, NOW)

    assert (len(batch.changes), batch.repeated, batch.inverted) == (3, 2, 0)
    assert batch.position.replay_id == "04"
    assert batch.position.again_until is None


async def test_record_whose_versions_run_backward_is_marked_in_the_same_batch() -> None:
    batch = await reader(PRODUCT).read(
        [fetched(made(PRODUCT, 5, "CREATE", IDS[0], Name="a"), made(PRODUCT, 4, "UPDATE", IDS[0], Name="b"))],
        START,
        NOW,
    )

    newest = batch.changes[0].version
    assert [(c.kind, c.version == newest) for c in batch.changes] == [
        ("create", True),
        ("update", False),
        ("dirty", True),
    ]
    assert (batch.inverted, batch.position.replay_id, batch.position.newest) == (1, "04", newest)


async def test_event_of_an_object_that_is_not_mapped_says_nothing_and_moves_on() -> None:
    contact = schema("Contact", {"Name": "string"})

    batch = await reader(contact, topic="/data/ChangeEvents").read(
        [fetched(made(contact, 2, "CREATE", "003000000000001AAA", Name="a"))], START, NOW
    )

    assert (batch.changes, batch.letters, batch.unmapped) == ([], [], 1)
    assert batch.position.replay_id == "02"


async def test_undecodable_events_without_a_position_have_holes_of_their_own() -> None:
    broken = Delivery(b"", PRODUCT.id, b"\xff")
    places = [("01", RECEIVED), ("02", RECEIVED), ("02", RECEIVED + 3_600_000)]

    holes = [
        (await reader(PRODUCT).read([Fetched((broken,), b"", at)], replace(START, replay_id=after), NOW)).holes[0]
        for after, at in places
    ]

    assert [hole.hole_id for hole in holes] == [f"undecodable:after-{after}:{at}" for after, at in places]


async def test_event_of_a_time_to_come_marks_its_own_record_and_moves_nothing_beyond_now() -> None:
    now = versions.moment(RECEIVED - 3_600_000)
    early, later = made(PRODUCT, 2, "CREATE", IDS[0], Name="a"), made(PRODUCT, 3, "UPDATE", IDS[1], Name="b")
    start = replace(START, event_at=now - timedelta(seconds=9))
    arrived = Fetched((early,), b"", versions.millis(now))

    first = await reader(PRODUCT).read([arrived], start, now)
    restarted = replace(reader(PRODUCT), order=Inversions(first.position.newest))
    after = await restarted.read([fetched(later)], first.position, versions.moment(RECEIVED))

    version = first.changes[0].version
    assert [(change.kind, change.version) for change in first.changes] == [("create", version), ("dirty", version)]
    assert first.newest == first.position.event_at == now
    assert (after.inverted, [change.kind for change in after.changes]) == (0, ["update"])
