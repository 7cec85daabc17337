"""The topics as data: names, partition counts, retention. The only place that names them.

Partition counts are fixed for good (a new count would re-home keys); another count is a new topic version.
"""

from __future__ import annotations

from dataclasses import dataclass

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One Kafka topic.

    key, value: what a record's key and value are, for people and the AsyncAPI document
    retention_ms: how long a record is kept; None where the newest value of each key is kept instead
    """

    name: str
    partitions: int
    key: str
    value: str
    retention_ms: int | None

    @property
    def config(self) -> dict[str, str]:
        """Topic settings as Kafka takes them."""
        if self.retention_ms is None:
            return {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


def _records(name: str) -> Topic:
    return Topic(
        name=name,
        partitions=4,
        key="18-character record id",
        value="RecordChange | Watermark",
        retention_ms=30 * _DAY_MS,
    )


PRODUCT = _records("sf.product2.v1")
PRICEBOOK_ENTRY = _records("sf.pricebookentry.v1")
ACCOUNT = _records("sf.account.v1")
ORDER = _records("sf.order.v1")

ORDER_STATUS = Topic(
    name="order.status.v1",
    partitions=4,
    key="18-character order id",
    value="OrderStatus",
    retention_ms=7 * _DAY_MS,
)

SALESFORCE_TOPICS = (
    "/data/Product2ChangeEvent",
    "/data/PricebookEntryChangeEvent",
    "/data/AccountChangeEvent",
    "/data/OrderChangeEvent",
    "/event/Order_Status__e",
)
"""Salesforce topics by checkpoint partition: append only, an index is never used again."""

CHANNEL = "/data/ChangeEvents"
"""Salesforce's channel of all selected objects: one subscription in place of one for each object."""

_CHECKPOINT_PARTITIONS = 16
"""Room for Salesforce topics to come: an object is added without a new topic or a moved position."""

JOBS_PARTITION = _CHECKPOINT_PARTITIONS - 1
"""The checkpoint partition of jobs (backfill and the like)."""

_CHANNEL_PARTITION = _CHECKPOINT_PARTITIONS - 2
"""The channel's, so that the index of a topic never depends on it."""

CHECKPOINT = Topic(
    name="ingest.checkpoint.v1",
    partitions=_CHECKPOINT_PARTITIONS,
    key="Salesforce topic or job name",
    value="Checkpoint",
    retention_ms=None,
)

DEAD_LETTER = Topic(
    name="umbra.dlq.v1",
    partitions=1,
    key="key of the record it is about",
    value="DeadLetter",
    retention_ms=30 * _DAY_MS,
)

RECORD_TOPICS = {
    "Product2": PRODUCT,
    "PricebookEntry": PRICEBOOK_ENTRY,
    "Account": ACCOUNT,
    "Order": ORDER,
}
"""Record topic of each shadowed object, in lock order."""

OBJECT_OF = {topic.name: name for name, topic in RECORD_TOPICS.items()}

ALL = (*RECORD_TOPICS.values(), ORDER_STATUS, CHECKPOINT, DEAD_LETTER)
"""Every topic; advisory locks are taken in this order."""

BY_NAME = {topic.name: topic for topic in ALL}


def checkpoint_partition(salesforce_topic: str) -> int:
    """Checkpoint partition of a Salesforce topic; ValueError for one that has none."""
    return _CHANNEL_PARTITION if salesforce_topic == CHANNEL else SALESFORCE_TOPICS.index(salesforce_topic)
