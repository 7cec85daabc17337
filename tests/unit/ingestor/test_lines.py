"""The short way from a Bulk row to its bytes gives what the long way gives, for every value that there is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import events, ids, topics, versions
from schemas.mapping import Field, FieldType, ObjectMapping, load
from services.ingestor import outgoing
from services.ingestor.jobs import packing
from services.ingestor.jobs.lines import Line, Lines
from services.kernel import kafka

NOW = datetime(2026, 1, 1, tzinfo=UTC)
R0 = versions.millis(NOW)
STAMP = "2025-12-31T23:59:59.000Z"
RECORD_ID = ids.parse("01t00000000001A")
KINDS: tuple[FieldType, ...] = ("text", "boolean", "decimal", "integer", "date", "datetime", "id")
MAPPING = ObjectMapping(
    name="Product2",
    table="",
    key="",
    constants={},
    fields={f"F_{kind}": Field(name=f"F_{kind}", type=kind) for kind in KINDS},
)

record_ids = st.from_regex(r"[a-zA-Z0-9]{15}", fullmatch=True).map(ids.parse)
numbers = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{0,10})?(e[0-9]{1,2})?", fullmatch=True),
)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2999, 1, 1)).map(  # noqa: DTZ001 - the zone is written behind
    lambda at: at.isoformat(timespec="milliseconds")
)
stamps = st.builds(str.__add__, moments, st.sampled_from(("Z", "+0000", "+09:00")))
odd = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ("TRUE", "2026-W01-1", "2026-W01-1T03:04:05.000Z", "007", "0.10", ".5", "5.", "²", "٣", "1_000", "-0", "NaN", " 1")
)
usual: dict[FieldType, st.SearchStrategy[str]] = {
    "text": st.text(st.characters(codec="utf-8"), max_size=30),
    "boolean": st.sampled_from(("true", "false")),
    "decimal": numbers,
    "integer": st.integers(-(10**17), 10**17).map(str),
    "date": st.dates().map(str),
    "datetime": stamps,
    "id": record_ids | record_ids.map(lambda text: text[:15]) | record_ids.map(str.lower),
}


def lines(mapping: ObjectMapping = MAPPING, job_id: str | None = "750000000000001AAA") -> Lines:
    return Lines(mapping, r0_ms=R0, origin="backfill", margin_ms=30_000, job_id=job_id)


def long_way(compiled: Lines, row: list[str]) -> Line:
    message = outgoing.change(compiled.change(row), NOW).message
    assert message.key is not None
    return Line(message.key, message.value, dict(message.headers)["ce_id"])


def assert_equal_ways(compiled: Lines, row: list[str]) -> None:
    assert told(lambda: compiled.line(row)) == told(lambda: long_way(compiled, row))


def told(way: Callable[[], Line]) -> Line | str:
    """The line, or the sentence that says why there is none."""
    try:
        return way()
    except ValueError as error:
        return str(error)


@given(record_ids, st.sampled_from(("true", "false", "")), stamps | st.just(""), st.tuples(*(usual[k] for k in KINDS)))
def test_usual_rows_have_the_same_bytes_both_ways(
    record_id: str, deleted: str, stamp: str, values: tuple[str, ...]
) -> None:
    assert_equal_ways(lines(), [record_id, deleted, stamp, *values])


@given(st.sampled_from(range(len(KINDS) + 3)), odd | st.one_of(*usual.values()))
def test_value_of_any_form_has_the_same_bytes_or_the_same_error(place: int, value: str) -> None:
    row = [RECORD_ID, "false", STAMP, *("" for _ in KINDS)]
    row[place] = value

    assert_equal_ways(lines(), row)


@pytest.mark.parametrize("name", topics.RECORD_TOPICS)
@pytest.mark.parametrize("job_id", [None, "750000000000001AAA"])
def test_every_mapped_object_has_the_same_bytes_both_ways(name: str, job_id: str | None) -> None:
    mapping = load().objects[name]
    compiled = lines(mapping, job_id)
    row = [RECORD_ID, "false", STAMP, *("" for _ in mapping.fields)]

    assert compiled.line(row) == long_way(compiled, row)
    assert events.decode_change(compiled.line(row).value) == compiled.change(row)


@given(st.binary(min_size=18, max_size=18).filter(bytes.isascii) | record_ids.map(str.encode), st.integers(1, 16))
def test_partition_is_the_one_that_kafka_gives(key: bytes, partitions: int) -> None:
    assert packing.partition(key, partitions) == kafka.partition_of(key.decode(), partitions)


def test_wrong_checksum_is_refused_after_the_right_one_was_seen() -> None:
    compiled = lines()
    compiled.line([RECORD_ID, "false", STAMP, *("" for _ in KINDS)])
    wrong = RECORD_ID[:17] + ("A" if RECORD_ID[17] != "A" else "B")

    with pytest.raises(ValueError, match="checksum"):
        compiled.line([wrong, "false", STAMP, *("" for _ in KINDS)])
