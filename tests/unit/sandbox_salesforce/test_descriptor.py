"""The compiled proto is the one every Pub/Sub package carries, so they share a process."""

import hashlib

from sandbox.salesforce.generated import pubsub_api_pb2

# Of the descriptor inside pysfpubsub 0.1.2 and sfprotostash 0.1.3.
_SHA256 = "65e5ab930c302e6f8f1f1df7f9f66fc021e35889faa929f12bc86e46ca22b2ba"


def test_the_descriptor_is_identical_to_the_published_packages() -> None:
    serialized = pubsub_api_pb2.DESCRIPTOR.serialized_pb

    assert len(serialized) == 2433
    assert hashlib.sha256(serialized).hexdigest() == _SHA256
