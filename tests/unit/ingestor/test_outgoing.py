"""Records go where their readers look for them."""

from __future__ import annotations

from datetime import UTC, datetime

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from schemas import events, ids, topics, versions
from schemas.events import RecordChange
from services.ingestor import outgoing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
record_ids = st.text("ABCabc0123456789", min_size=15, max_size=15).map(ids.parse)


def change(record_id: str, key: str | None = "00001983-4fdf") -> RecordChange:
    return RecordChange(
        kind="delete",
        object="Product2",
        record_id=record_id,
        version=versions.event_version(1, 1, 1),
        origin="cdc",
        transaction_key=key,
        replay_id="0a",
    )


@given(record_ids)
def test_record_goes_where_the_default_partitioner_would_send_it(record_id: str) -> None:
    record = outgoing.change(change(record_id), NOW)

    places = list(range(topics.PRODUCT.partitions))
    assert record.partition == DefaultPartitioner()(record_id.encode(), places, places)


def test_events_of_one_transaction_share_a_trace() -> None:
    first, second = (outgoing.change(change(i), NOW) for i in ("01t000000000001AAA", "01t000000000002AAA"))

    traces = {(events.header(record.message.headers, "traceparent") or "").split("-")[1] for record in (first, second)}
    assert len(traces) == 1
    assert len(traces.pop()) == 32


def test_read_belongs_to_no_trace() -> None:
    record = outgoing.change(change("01t000000000001AAA", key=None), NOW)

    assert events.header(record.message.headers, "traceparent") is None
