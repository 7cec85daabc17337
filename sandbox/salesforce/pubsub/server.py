"""The gRPC service, behind the gate that clients connect to."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import msgspec

from sandbox.salesforce.generated import pubsub_api_pb2 as pb
from sandbox.salesforce.generated import pubsub_api_pb2_grpc as pb_grpc
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.pubsub.faults import Fault, admit, bad_request, check_caller, end_with
from sandbox.salesforce.pubsub.publishing import publish
from sandbox.salesforce.pubsub.subscription import Subscription, find_topic


class PubSub(pb_grpc.PubSubServicer):
    """The rpcs.  Each checks its caller first and ends with trailers when it refuses."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def Subscribe(self, request_iterator: AsyncIterator[Any], context: Any) -> None:
        # A refusal before the first request is read meets a client that is still writing it, and some client
        # libraries then report INTERNAL in place of the refusal.
        first = await anext(aiter(request_iterator), None)
        try:
            if first is None:
                check_caller(self._instance, context)
            else:
                custom = first.replay_preset == pb.ReplayPreset.CUSTOM
                await admit(self._instance, context, "Subscribe", first.topic_name, from_replay_id=custom)
                await Subscription(self._instance, request_iterator, context).run(first)
        except Fault as fault:
            await end_with(context, "Subscribe", fault)

    async def GetTopic(self, request: Any, context: Any) -> Any:
        try:
            await admit(self._instance, context, "GetTopic", request.topic_name)
            topic = find_topic(self._instance, request.topic_name)
        except Fault as fault:
            await end_with(context, "GetTopic", fault)
        return pb.TopicInfo(
            topic_name=topic.name,
            tenant_guid=f"CORE/sandbox/{self._instance.identity.org_id}",
            can_publish=topic.name.startswith("/event/"),
            can_subscribe=True,
            schema_id=topic.schema_id,
            rpc_id=str(uuid.uuid4()),
        )

    async def GetSchema(self, request: Any, context: Any) -> Any:
        try:
            name = record_name(self._instance.org.publisher.schemas.get(request.schema_id))
            await admit(self._instance, context, "GetSchema", name)
            text = self._schema(request.schema_id)
        except Fault as fault:
            await end_with(context, "GetSchema", fault)
        return pb.SchemaInfo(schema_json=text, schema_id=request.schema_id, rpc_id=str(uuid.uuid4()))

    def _schema(self, schema_id: str) -> str:
        if not schema_id:
            raise bad_request("schema.validation.failed", "The schema id can't be blank.")
        text = self._instance.org.publisher.schemas.get(schema_id)
        if text is None:
            raise bad_request("schema.validation.failed", f"The schema id {schema_id} does not exist.")
        return text

    async def Publish(self, request: Any, context: Any) -> Any:
        try:
            await admit(self._instance, context, "Publish", request.topic_name)
            return publish(self._instance, request)
        except Fault as fault:
            await end_with(context, "Publish", fault)

    async def PublishStream(self, request_iterator: AsyncIterator[Any], context: Any) -> None:
        topic = ""
        try:
            async for request in request_iterator:
                topic = topic or request.topic_name
                await admit(self._instance, context, "PublishStream", topic)
                if request.topic_name and request.topic_name != topic:
                    raise bad_request("publish.topic.mismatch", "The topic name differs from the first request's.")
                request.topic_name = topic
                await context.write(publish(self._instance, request))
        except Fault as fault:
            await end_with(context, "PublishStream", fault)


def record_name(schema: str | None) -> str:
    """The name a schema gives its record; empty for no schema."""
    return "" if schema is None else str(msgspec.json.decode(schema)["name"])


async def start(instance: Instance) -> tuple[grpc.aio.Server, int]:
    """The running server, for this machine only, and its port."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ]
    )
    pb_grpc.add_PubSubServicer_to_server(PubSub(instance), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port
