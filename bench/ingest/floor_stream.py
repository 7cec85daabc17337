"""The floor of the stream: subscribe, decode, produce and commit, with none of what makes it safe.

A bare gRPC stream with the most credit, fastavro, one JSON value for each event, one Kafka transaction for each answer.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import fastavro
import grpc
import msgspec
from aiokafka import AIOKafkaProducer

from services.salesforce.pubsub.generated import pubsub_api_pb2 as pb
from services.salesforce.pubsub.generated import pubsub_api_pb2_grpc as pb_grpc

CREDIT = 100


async def main(salesforce_topic: str, kafka_topic: str) -> None:
    metadata = await _logged_in()
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["UMBRA_KAFKA_BOOTSTRAP"], transactional_id="floor", max_batch_size=262_144
    )
    await producer.start()
    try:
        async with grpc.aio.insecure_channel(os.environ["UMBRA_SALESFORCE_PUBSUB"]) as channel:
            await _streamed(pb_grpc.PubSubStub(channel), metadata, salesforce_topic, producer, kafka_topic)  # type: ignore[no-untyped-call]
    finally:
        await producer.stop()


async def _logged_in() -> list[tuple[str, str]]:
    form = {
        "grant_type": "client_credentials",
        "client_id": os.environ["UMBRA_SALESFORCE_CLIENT_ID"],
        "client_secret": os.environ["UMBRA_SALESFORCE_CLIENT_SECRET"],
    }
    url = os.environ["UMBRA_SALESFORCE_LOGIN_URL"] + "/services/oauth2/token"
    async with aiohttp.ClientSession() as http, http.post(url, data=form) as answer:
        token = await answer.json()
    tenant = token["id"].split("/")[-2]
    return [("accesstoken", token["access_token"]), ("instanceurl", token["instance_url"]), ("tenantid", tenant)]


async def _streamed(stub: Any, metadata: Any, topic: str, producer: AIOKafkaProducer, kafka_topic: str) -> None:
    asks: asyncio.Queue[int] = asyncio.Queue()
    asks.put_nowait(CREDIT)

    async def requests() -> AsyncIterator[Any]:
        while True:
            yield pb.FetchRequest(
                topic_name=topic, replay_preset=pb.ReplayPreset.EARLIEST, num_requested=await asks.get()
            )

    schemas: dict[str, Any] = {}
    async for response in stub.Subscribe(requests(), metadata=metadata):
        if not response.events:
            continue
        await producer.begin_transaction()
        for event in response.events:
            name = event.event.schema_id
            if name not in schemas:
                answer = await stub.GetSchema(pb.SchemaRequest(schema_id=name), metadata=metadata)
                schemas[name] = fastavro.parse_schema(json.loads(answer.schema_json))
            body: Any = fastavro.schemaless_reader(io.BytesIO(event.event.payload), schemas[name], None)
            key = body["ChangeEventHeader"]["recordIds"][0].encode()
            value = {name: value for name, value in body.items() if value is not None}
            await producer.send(kafka_topic, value=msgspec.json.encode(value), key=key)
        await producer.commit_transaction()
        asks.put_nowait(len(response.events))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
