"""Logs in by SOAP with pysfpubsub or aiosfpubsub and writes every event it gets as one JSON line.

Both take their roots from certifi: pysfpubsub when it is imported, so the roots are named first.
"""

import asyncio
import json
import sys
from typing import Any

import certifi


def _say(line: Any) -> None:
    sys.stdout.write(json.dumps(line, default=lambda value: value.hex()) + "\n")
    sys.stdout.flush()


def _event(client: Any, event: Any) -> None:
    schema = client.get_schema_json(event.event.schema_id)
    _say({"replay_id": event.replay_id.hex(), "payload": client.decode(schema, event.event.payload)})


def threaded(task: dict[str, Any]) -> None:
    from pysfpubsub import Client  # type: ignore[import-not-found]

    client = Client(task["url"], task["username"], task["password"], task["host"], task["port"], "59.0")
    client.auth()
    _say({"topic": client.get_topic(task["topic"]).topic_name, "org": client.tenant_id})

    def got(answer: Any, client: Any) -> None:
        for event in answer.events:
            _event(client, event)
        if answer.pending_num_requested == 0:
            client.release_subscription_semaphore()

    client.subscribe(task["topic"], task["start"], b"", 1, got)


async def looped(task: dict[str, Any]) -> None:
    from aiosfpubsub import Client  # type: ignore[import-not-found]

    client = Client(task["url"], task["username"], task["password"], task["host"], task["port"], "59.0")
    client.auth()
    topic = client.get_topic(task["topic"])
    _say({"topic": topic.topic_name, "org": client.tenant_id})

    def got(answer: Any, client: Any) -> None:
        for event in answer.events:
            _event(client, event)

    await client.subscribe(task["topic"], task["start"], b"", 60, got)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    certifi.where = lambda: str(given["ca_file"])
    if given["client"] == "pysfpubsub":
        threaded(given)
    else:
        asyncio.run(looped(given))
