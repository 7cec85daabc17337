"""The private names of aiokafka that commits rest on are still there, with the meaning they had."""

from __future__ import annotations

import inspect

from aiokafka import AIOKafkaProducer
from aiokafka.producer import sender

from services.ingestor import transactions


def test_pause_between_transactions_is_still_read_from_the_module() -> None:
    assert isinstance(sender.BACKOFF_OVERRIDE, float)
    assert "return BACKOFF_OVERRIDE" in inspect.getsource(sender.AddPartitionsToTxnHandler)
    assert transactions.BACKOFF_SECONDS < 0.02


def test_producer_still_has_its_sender_task_and_client() -> None:
    assert isinstance(inspect.getattr_static(sender.Sender, "sender_task"), property)
    assert "self._sender = Sender(" in inspect.getsource(AIOKafkaProducer.__init__)
    assert "self.client = AIOKafkaClient(" in inspect.getsource(AIOKafkaProducer.__init__)


def test_transactional_id_is_the_same_everywhere() -> None:
    assert transactions.id_of("/data/OrderChangeEvent") == "umbra.ingest./data/OrderChangeEvent"
