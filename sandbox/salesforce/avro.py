"""Avro: bare binary data written and read by a schema, and the fingerprint that names a schema.

Own code on purpose: the services decode with another implementation, so one mistake cannot hide in both.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Any  # parsed schema JSON: a name, a list of branches, or an object
Write: TypeAlias = Callable[[bytearray, Any], None]
Names: TypeAlias = dict[str, Any]

_NULL_BRANCH = b"\x00"


def schema_id(schema_json: str) -> str:
    """MD5 of the schema's Avro parsing canonical form, URL-safe base64 without padding: 22 characters."""
    canonical = json.dumps(_canonical(json.loads(schema_json)), separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.md5(canonical.encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def writer(schema_json: str) -> Callable[[Mapping[str, Any]], bytes]:
    """A function that writes one record of this schema."""
    write = _writer(json.loads(schema_json), {})

    def encode(record: Mapping[str, Any]) -> bytes:
        out = bytearray()
        write(out, record)
        return bytes(out)

    return encode


def reader(schema_json: str) -> Callable[[bytes], dict[str, Any]]:
    """A function that reads one record of this schema; trailing bytes are an error (ValueError)."""
    schema = json.loads(schema_json)

    def decode(data: bytes) -> dict[str, Any]:
        value, end = read(schema, data, 0, {})
        if end != len(data):
            raise ValueError(f"{len(data) - end} bytes after the datum")
        assert isinstance(value, dict)  # noqa: S101 - the schemas of this org are records
        return value

    return decode


_BUILT_IN = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_COMPLEX = frozenset({"record", "enum", "array", "map", "fixed"})


def _canonical(schema: Schema, namespace: str = "") -> Schema:
    """The parsing canonical form: only what decides the bytes, every name in full."""
    if isinstance(schema, list):
        return [_canonical(branch, namespace) for branch in schema]
    if isinstance(schema, str):
        return schema if schema in _BUILT_IN | _COMPLEX or "." in schema else f"{namespace}.{schema}"
    namespace = schema.get("namespace", namespace)
    kept = {key: schema[key] for key in ("name", "type", "fields", "symbols", "items") if key in schema}
    if "name" in kept:
        kept["name"] = f"{namespace}.{kept['name']}"
    if "fields" in kept:
        kept["fields"] = [{"name": f["name"], "type": _canonical(f["type"], namespace)} for f in schema["fields"]]
    if "items" in kept:
        kept["items"] = _canonical(schema["items"], namespace)
    return kept


def write_long(out: bytearray, value: int) -> None:
    """Zigzag, then seven bits a byte."""
    rest = (value << 1) ^ (value >> 63)
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)


def write_string(out: bytearray, value: str) -> None:
    data = value.encode()
    write_long(out, len(data))
    out += data


def _write_boolean(out: bytearray, value: bool) -> None:
    out.append(1 if value else 0)


def _write_double(out: bytearray, value: float) -> None:
    out += struct.pack("<d", value)


_PRIMITIVES: dict[str, Write] = {
    "string": write_string,
    "long": write_long,
    "int": write_long,
    "double": _write_double,
    "boolean": _write_boolean,
}


def _writer(schema: Schema, names: dict[str, Write]) -> Write:
    if isinstance(schema, list):
        return _union_writer(schema, names)
    if isinstance(schema, str):
        return names.get(schema) or _PRIMITIVES[schema]
    kind = schema["type"]
    if kind == "record":
        return _record_writer(schema, names)
    if kind == "enum":
        return _enum_writer(schema)
    if kind == "array":
        return _array_writer(_writer(schema["items"], names))
    return _writer(kind, names)


def _record_writer(schema: Schema, names: dict[str, Write]) -> Write:
    fields = [(f["name"], _writer(f["type"], names)) for f in schema["fields"]]

    def write(out: bytearray, record: Mapping[str, Any]) -> None:
        for name, put in fields:
            put(out, record.get(name))

    names[schema["name"]] = write
    return write


def _enum_writer(schema: Schema) -> Write:
    index = {symbol: i for i, symbol in enumerate(schema["symbols"])}
    return lambda out, value: write_long(out, index[value])


def _array_writer(item: Write) -> Write:
    def write(out: bytearray, values: list[Any]) -> None:
        if values:
            write_long(out, len(values))
            for value in values:
                item(out, value)
        out.append(0)

    return write


def _union_writer(branches: list[Schema], names: dict[str, Write]) -> Write:
    """null, a scalar, and at most one record: the only unions that occur in this org's schemas."""
    writers = [None if b == "null" else _writer(b, names) for b in branches]
    record = next((i for i, b in enumerate(branches) if isinstance(b, dict) or b in names), None)
    scalar = next((i for i, b in enumerate(branches) if i != record and b != "null"), record)

    def write(out: bytearray, value: Any) -> None:
        if value is None:
            out += _NULL_BRANCH
            return
        branch = record if isinstance(value, Mapping) else scalar
        put = writers[branch] if branch is not None else None
        if branch is None or put is None:
            raise ValueError(f"no branch for {type(value).__name__}")
        write_long(out, branch)
        put(out, value)

    return write


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint of at most ten bytes and the position after it."""
    shift = value = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("broken varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    length, at = read_long(data, at)
    if length < 0 or at + length > len(data):
        raise ValueError("string runs past the end")
    return data[at : at + length].decode(), at + length


def _read_double(data: bytes, at: int) -> tuple[float, int]:
    if at + 8 > len(data):
        raise ValueError("double runs past the end")
    return struct.unpack_from("<d", data, at)[0], at + 8


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    if at >= len(data):
        raise ValueError("boolean runs past the end")
    return data[at] == 1, at + 1


_READERS: dict[str, Callable[[bytes, int], tuple[Any, int]]] = {
    "string": _read_string,
    "long": read_long,
    "int": read_long,
    "double": _read_double,
    "boolean": _read_boolean,
}


def read(schema: Schema, data: bytes, at: int, names: Names) -> tuple[Any, int]:
    """The value of `schema` that starts at `at`, and the position after it.  Raises ValueError on broken bytes."""
    if isinstance(schema, str):
        if schema == "null":
            return None, at
        return read(names[schema], data, at, names) if schema in names else _READERS[schema](data, at)
    if isinstance(schema, list):
        branch, at = read_long(data, at)
        if not 0 <= branch < len(schema):
            raise ValueError(f"no union branch {branch}")
        return read(schema[branch], data, at, names)
    return _read_complex(schema, data, at, names)


def _read_complex(schema: Schema, data: bytes, at: int, names: Names) -> tuple[Any, int]:
    kind = schema["type"]
    if kind == "record":
        names[schema["name"]] = schema
        record: dict[str, Any] = {}
        for f in schema["fields"]:
            record[f["name"]], at = read(f["type"], data, at, names)
        return record, at
    if kind == "enum":
        index, at = read_long(data, at)
        if not 0 <= index < len(schema["symbols"]):
            raise ValueError(f"no enum symbol {index}")
        return schema["symbols"][index], at
    if kind == "array":
        return _read_array(schema["items"], data, at, names)
    return read(kind, data, at, names)


def _read_array(items: Schema, data: bytes, at: int, names: Names) -> tuple[list[Any], int]:
    values: list[Any] = []
    while True:
        count, at = read_long(data, at)
        if count == 0:
            return values, at
        if count < 0:  # a negative count is followed by the block's size in bytes
            count, (_, at) = -count, read_long(data, at)
        for _ in range(count):
            value, at = read(items, data, at, names)
            values.append(value)
