"""The gRPC service on a plain and a TLS port."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from sandbox.salesforce.generated import pubsub_api_pb2 as pb
from sandbox.salesforce.generated import pubsub_api_pb2_grpc as pb_grpc
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.pubsub.faults import Fault, bad_request, check_caller, end_with
from sandbox.salesforce.pubsub.publishing import publish
from sandbox.salesforce.pubsub.subscription import Subscription, find_topic
from sandbox.salesforce.tls import TlsFiles


class PubSub(pb_grpc.PubSubServicer):
    """The rpcs.  Each checks its caller first and ends with trailers when it refuses."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def Subscribe(self, request_iterator: AsyncIterator[Any], context: Any) -> None:
        # A refusal before the first request is read meets a client that is still writing it, and some client
        # libraries then report INTERNAL in place of the refusal.
        first = await anext(aiter(request_iterator), None)
        try:
            check_caller(self._instance, context)
            if first is not None:
                await Subscription(self._instance, request_iterator, context).run(first)
        except Fault as fault:
            await end_with(context, "Subscribe", fault)

    async def GetTopic(self, request: Any, context: Any) -> Any:
        try:
            check_caller(self._instance, context)
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
            check_caller(self._instance, context)
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
            check_caller(self._instance, context)
            return publish(self._instance, request)
        except Fault as fault:
            await end_with(context, "Publish", fault)

    async def PublishStream(self, request_iterator: AsyncIterator[Any], context: Any) -> None:
        topic = ""
        try:
            async for request in request_iterator:
                check_caller(self._instance, context)
                topic = topic or request.topic_name
                if request.topic_name and request.topic_name != topic:
                    raise bad_request("publish.topic.mismatch", "The topic name differs from the first request's.")
                request.topic_name = topic
                await context.write(publish(self._instance, request))
        except Fault as fault:
            await end_with(context, "PublishStream", fault)


async def start(
    instance: Instance, host: str, port: int, tls_port: int, files: TlsFiles
) -> tuple[grpc.aio.Server, int, int]:
    """The running server and the ports it got.  Raises OSError for one in use."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),  # a port in use is an error, not shared
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ]
    )
    pb_grpc.add_PubSubServicer_to_server(PubSub(instance), server)  # type: ignore[no-untyped-call]
    credentials = grpc.ssl_server_credentials([(_read(files.key), _read(files.certificate))])
    try:
        plain = server.add_insecure_port(f"{host}:{port}")
        secure = server.add_secure_port(f"{host}:{tls_port}", credentials)
    except RuntimeError as error:
        raise OSError(f"gRPC port {port} or {tls_port} on {host} cannot be bound: {error}") from error
    await server.start()
    return server, plain, secure


def _read(path: Path) -> bytes:
    return path.read_bytes()
