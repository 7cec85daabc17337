"""The descriptor is byte for byte the one that other Pub/Sub clients register, so that both import in one process."""

from __future__ import annotations

from hashlib import sha256

from google.protobuf import descriptor_pool

from services.salesforce.pubsub.generated import pubsub_api_pb2

SALESFORCE_OWN = "65e5ab930c302e6f8f1f1df7f9f66fc021e35889faa929f12bc86e46ca22b2ba"
"""Of the 2,433 bytes that the clients on PyPI carry."""


def test_descriptor_is_the_one_everybody_has() -> None:
    serialized = pubsub_api_pb2.DESCRIPTOR.serialized_pb

    assert (len(serialized), sha256(serialized).hexdigest()) == (2433, SALESFORCE_OWN)


def test_registering_it_once_more_is_no_conflict() -> None:
    again = descriptor_pool.Default().AddSerializedFile(pubsub_api_pb2.DESCRIPTOR.serialized_pb)

    assert again.name == "pubsub_api.proto"
