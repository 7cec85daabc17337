"""A bare gRPC client of the Pub/Sub API, for what the packaged clients do not let a test see."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from sandbox.salesforce.generated import pubsub_api_pb2 as pb
from sandbox.salesforce.generated import pubsub_api_pb2_grpc as pb_grpc
from tests.contract.salesforce_sim.simulator import Simulator

_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]  # otherwise all channels of a process share one
EARLIEST, CUSTOM = pb.ReplayPreset.EARLIEST, pb.ReplayPreset.CUSTOM


class Stream:
    """One Subscribe stream."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def ask(self, topic: str, count: int, **more: Any) -> None:
        """An rpc that has already ended says why at the next answer, not here."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self.call.write(pb.FetchRequest(topic_name=topic, num_requested=count, **more))

    async def answer(self, within: float = 10) -> Any:
        """The next response; grpc.aio.EOF when the stream has ended well."""
        async with asyncio.timeout(within):
            return await self.call.read()

    async def events(self, count: int) -> list[Any]:
        """That many events, however many responses they take."""
        found: list[Any] = []
        while len(found) < count:
            found += (await self.answer()).events
        return found


class Client:
    """The rpcs, with the three headers."""

    def __init__(self, stub: Any, headers: tuple[tuple[str, str], ...]) -> None:
        self.stub = stub
        self.headers = headers

    def subscribe(self) -> Stream:
        return Stream(self.stub.Subscribe(metadata=self.headers))

    def publish_stream(self) -> Any:
        return self.stub.PublishStream(metadata=self.headers)

    async def schema(self, schema_id: str) -> str:
        info = await self.stub.GetSchema(pb.SchemaRequest(schema_id=schema_id), metadata=self.headers)
        return str(info.schema_json)

    async def topic(self, name: str) -> Any:
        return await self.stub.GetTopic(pb.TopicRequest(topic_name=name), metadata=self.headers)


@asynccontextmanager
async def pubsub(sim: Simulator, *, tls: bool = False, **headers: str) -> AsyncIterator[Client]:
    """A client; `headers` replace the good ones."""
    all_headers = {"accesstoken": sim.token(), "instanceurl": sim.https, "tenantid": sim.org_id} | headers
    if tls:
        credentials = grpc.ssl_channel_credentials(sim.ca)
        channel = grpc.aio.secure_channel(sim.grpc_tls, credentials, options=_OWN_CONNECTION)
    else:
        channel = grpc.aio.insecure_channel(sim.grpc, options=_OWN_CONNECTION)
    async with channel:
        yield Client(pb_grpc.PubSubStub(channel), tuple(all_headers.items()))  # type: ignore[no-untyped-call]
