"""Settings of the projector: which topics its objects are made of, and what is refused."""

from __future__ import annotations

import pytest

from schemas import topics
from services.kernel.settings import SettingsError, load
from services.projector.settings import Settings

NEEDED = {
    "UMBRA_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "UMBRA_POSTGRES_DSN": "postgresql://x",
    "UMBRA_VALKEY_URL": "redis://x",
}


def settings(**more: str) -> Settings:
    return load(Settings, NEEDED | more)


def test_all_objects_and_the_statuses_are_projected_by_default() -> None:
    assert settings().topics == (*(topic.name for topic in topics.RECORD_TOPICS.values()), topics.ORDER_STATUS.name)


def test_orders_bring_their_statuses_along_and_others_do_not() -> None:
    assert settings(UMBRA_PROJECTOR_OBJECTS="Order").topics == (topics.ORDER.name, topics.ORDER_STATUS.name)
    assert settings(UMBRA_PROJECTOR_OBJECTS="Account,Product2").topics == (topics.PRODUCT.name, topics.ACCOUNT.name)


def test_every_bad_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings(UMBRA_PROJECTOR_OBJECTS="Lead", UMBRA_PROJECTOR_BATCH_RECORDS="0")

    assert "UMBRA_PROJECTOR_OBJECTS" in str(caught.value)
    assert "UMBRA_PROJECTOR_BATCH_RECORDS" in str(caught.value)
