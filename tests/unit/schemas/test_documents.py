"""What is made from the types is what lies in the tree, and every golden example still reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas import documents, topics, vectors
from schemas.events import TYPES

EXAMPLES = sorted((documents.ROOT / "examples").glob("*/*.json"))


@pytest.mark.parametrize(
    ("path", "text"), [*documents.files(), (vectors.FILE, vectors.text())], ids=lambda v: getattr(v, "name", "")
)
def test_generated_file_has_not_drifted(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run `make docs`"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_golden_example_still_decodes_and_says_the_same(path: Path) -> None:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    event = msgspec.json.decode(path.read_bytes(), type=TYPES[path.parent.name])

    assert msgspec.to_builtins(event) == document


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_golden_example_fits_its_json_schema(path: Path) -> None:
    schema = json.loads((documents.ROOT / "json" / f"{path.parent.name}.json").read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text(encoding="utf-8")))


def test_every_event_type_has_an_example() -> None:
    assert {path.parent.name for path in EXAMPLES} == set(TYPES)


def test_every_topic_is_in_the_asyncapi_document() -> None:
    assert set(documents.asyncapi()["channels"]) == {topic.name for topic in topics.ALL}


def test_every_salesforce_topic_has_its_own_checkpoint_partition_and_jobs_have_one() -> None:
    taken = [topics.checkpoint_partition(name) for name in topics.SALESFORCE_TOPICS] + [topics.JOBS_PARTITION]

    assert len(set(taken)) == len(taken)
    assert max(taken) < topics.CHECKPOINT.partitions


def test_positions_stay_where_they_are_when_an_object_is_added() -> None:
    assert [topics.checkpoint_partition(name) for name in topics.SALESFORCE_TOPICS[:5]] == [0, 1, 2, 3, 4]
    assert (topics.JOBS_PARTITION, topics.CHECKPOINT.partitions) == (15, 16)
