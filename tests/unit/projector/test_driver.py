"""An upgrade of Faust or aiokafka that takes away a private name we use is seen here, by its name."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState

from services.projector.engine import driver

NAMES = [(owner, name) for owner, names in driver.PRIVATE_NAMES.items() for name in names]


@pytest.mark.parametrize(("owner", "name"), NAMES)
def test_a_method_that_is_overridden_or_called_is_still_there(owner: str, name: str) -> None:
    module, _, cls = owner.partition(":")

    assert callable(getattr(getattr(importlib.import_module(module), cls), name))


@pytest.mark.parametrize("name", driver.PRIVATE_ATTRIBUTES)
async def test_an_attribute_that_is_set_or_read_is_still_there(name: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    try:
        assert hasattr(consumer, name)
    finally:
        consumer._closed = True


@pytest.mark.parametrize(
    "name",
    ["_isolation_level", "_auto_offset_reset", "_fetch_max_wait_ms", "_fetch_min_bytes", "_max_partition_fetch_bytes"],
)
def test_what_is_set_before_the_start_is_read_at_the_start(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(AIOKafkaConsumer.start)


def test_the_fetcher_takes_a_reset_policy_of_none() -> None:
    assert "OffsetResetStrategy.NONE" in inspect.getsource(Fetcher._proc_fetch_request)


@pytest.mark.parametrize("name", ["has_valid_position", "position"])
def test_a_partition_still_tells_its_position(name: str) -> None:
    assert hasattr(TopicPartitionState, name)


def test_the_coordinator_still_parks_its_errors() -> None:
    assert callable(GroupCoordinator.check_errors)


def test_getmany_still_returns_what_the_fetch_returns() -> None:
    source = inspect.getsource(driver.Thread.getmany)

    assert "self._fetch_records" in source
    assert "max_records=_consumer._max_poll_records" in source


def test_the_rebalance_still_seeks_before_it_resumes() -> None:
    from faust.tables.recovery import Recovery

    source = inspect.getsource(Recovery._resume_streams)

    assert source.index("perform_seek") < source.index("resume_flow")


@pytest.mark.parametrize(
    ("package", "pinned"), [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")]
)
def test_the_pins_are_those_that_were_proven(package: str, pinned: str) -> None:
    assert version(package) == pinned
