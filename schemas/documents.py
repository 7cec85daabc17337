"""JSON Schema and AsyncAPI made from the event types and the topics; `python -m schemas` writes them.

The types are the source, the files are what others read; a test fails when they drift.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from schemas import topics
from schemas.events import TYPES, Event

ROOT = Path(__file__).parent
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FORMAT = "application/schema+json;version=draft-2020-12"
_HEADERS = {
    "ce_specversion": "CloudEvents version, 1.0",
    "ce_id": "with ce_source it names this event, also when it is written again",
    "ce_type": "event type and version",
    "ce_source": "the service that wrote it",
    "ce_time": "when it was written, RFC 3339 in UTC",
    "traceparent": "W3C trace context, where there is one",
}


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file with its content."""
    for name, event in TYPES.items():
        yield ROOT / "json" / f"{name}.json", _text(json_schema(name, event))
    yield ROOT / "asyncapi.json", _text(asyncapi())


def json_schema(name: str, event: type[Event]) -> dict[str, Any]:
    """JSON Schema of one event's value. Unknown members are allowed: readers skip what they do not know."""
    _, definitions = msgspec.json.schema_components([event], ref_template="#/$defs/{name}")
    own = definitions.pop(event.__name__)
    return {"$schema": _DIALECT, "$id": name, **own, **({"$defs": definitions} if definitions else {})}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Umbra",
            "version": "1",
            "description": "The topics between Umbra's services. CloudEvents attributes are headers (binary mode).",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in topics.ALL},
        "components": {"messages": {name: _message(name) for name in TYPES}},
    }


def _channel(topic: topics.Topic) -> dict[str, Any]:
    names = [part.strip() for part in topic.value.split("|")]
    messages = {name: {"$ref": f"#/components/messages/{_type_name(name)}"} for name in names}
    kept = "the newest of each key" if topic.retention_ms is None else f"{topic.retention_ms // 86_400_000} days"
    return {
        "address": topic.name,
        "description": f"Key: {topic.key}. Kept: {kept}.",
        "messages": messages,
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": _binding(topic)}},
    }


def _binding(topic: topics.Topic) -> dict[str, Any]:
    config: dict[str, Any] = {"cleanup.policy": [topic.config["cleanup.policy"]]}
    if topic.retention_ms is not None:
        config["retention.ms"] = topic.retention_ms
    return config


def _message(name: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": text} for key, text in _HEADERS.items()}
    return {
        "name": name,
        "headers": {"type": "object", "properties": properties, "required": list(_HEADERS)[:-1]},
        "payload": {"schemaFormat": _FORMAT, "schema": {"$ref": f"json/{name}.json"}},
    }


def _type_name(class_name: str) -> str:
    return next(name for name, event in TYPES.items() if event.__name__ == class_name)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
