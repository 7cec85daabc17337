"""Which topics can be streamed, and what each carries."""

from __future__ import annotations

import pytest

from schemas import mapping, topics
from services.ingestor import reading


@pytest.mark.parametrize(
    ("topic", "carries"),
    [
        ("/data/Product2ChangeEvent", "Product2"),
        ("/data/OrderChangeEvent", "Order"),
        ("/event/Order_Status__e", None),
        ("/data/NowhereChangeEvent", None),
        ("/data/Line__ChangeEvent", None),
    ],
)
def test_change_topic_carries_its_object(topic: str, carries: str | None) -> None:
    assert reading.object_of(topic) == carries


def test_every_known_topic_can_be_streamed() -> None:
    assert reading.unknown(topics.SALESFORCE_TOPICS, mapping.load()) == []


def test_other_topics_are_named() -> None:
    asked = ("/data/Product2ChangeEvent", "/data/NowhereChangeEvent", "/event/Else__e")

    assert reading.unknown(asked, mapping.load()) == ["/data/NowhereChangeEvent", "/event/Else__e"]
