"""Every kind of fault there is: how one is read from JSON, and the table of them for a reader."""

from collections.abc import Iterable
from typing import Any, TypeAlias, get_args

import msgspec

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.faults.bulk import BulkFault
from sandbox.salesforce.faults.fault import COMMON_FIELDS, Fault
from sandbox.salesforce.faults.pubsub import PubSubFault
from sandbox.salesforce.faults.rest import HttpFault

AnyFault: TypeAlias = PubSubFault | HttpFault | BulkFault
SURFACES: dict[str, tuple[type[Fault], ...]] = {
    "Pub/Sub API": get_args(PubSubFault),
    "HTTP": get_args(HttpFault),
    "Bulk 2.0": get_args(BulkFault),
}
KINDS = tuple(kind for kinds in SURFACES.values() for kind in kinds)
_one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyFault)
_many: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[AnyFault])


def read(raw: bytes) -> list[Fault]:
    """One fault, or a list of them.  Raises Refused with what is wrong and where."""
    try:
        if raw.lstrip().startswith(b"["):
            return list(_many.decode(raw))
        return [_one.decode(raw)]
    except msgspec.DecodeError as error:
        raise Refused("INVALID_INPUT", str(error)) from None


def tag(kind: type[Fault]) -> str:
    return str(kind.__struct_config__.tag)


def example(kind: type[Fault]) -> str:
    """The fault with every option of its own at its default, as JSON."""
    own = {f.name: getattr(kind(), f.name) for f in msgspec.structs.fields(kind) if f.name not in COMMON_FIELDS}
    return msgspec.json.encode({"fault": tag(kind), **own}).decode()


def options(kind: type[Fault]) -> dict[str, tuple[str, ...]]:
    """The values an option may have, for those that may have only some."""
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    return {
        name: tuple(entry["enum"])
        for name, entry in schema.items()
        if name not in COMMON_FIELDS and name != "fault" and "enum" in entry
    }


def table(kinds: Iterable[type[Fault]]) -> str:
    """A Markdown table: the exact JSON, what happens, and the choices there are."""
    rows = ["| JSON | what happens | choices |", "|---|---|---|"]
    for kind in kinds:
        what = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
        choices = (f"{name}: " + ", ".join(f"`{v}`" for v in values) for name, values in options(kind).items())
        rows.append(f"| `{example(kind)}` | {what} | {'; '.join(choices)} |")
    return "\n".join(rows)
