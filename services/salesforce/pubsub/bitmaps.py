"""Changed, nulled and diff fields of a change event: bitmaps over the fields of the event's own schema. Pure.

Source: Pub/Sub API guide, "Event Deserialization Considerations".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Path(NamedTuple):
    """A field of an event, or one part of a compound field; `part` is empty for the whole field."""

    field: str
    part: str = ""


class Slot(NamedTuple):
    """A top-level field in schema order, with the names of its parts where it is a record."""

    name: str
    parts: tuple[str, ...] = ()


Layout = Sequence[Slot]
"""The top-level fields of a schema; index 0 is the header."""


def decode(elements: Sequence[str], layout: Layout) -> frozenset[Path]:
    """The fields whose bits are set. A bit beyond the schema is ignored.

    `0xHH` speaks of the top-level fields, `P-0xHH` of the parts of field P. ValueError for any other form, and for
    a P that is no compound field: then the schema is not the event's.
    """
    return frozenset(path for element in elements for path in _paths(element, layout))


def _paths(element: str, layout: Layout) -> Iterator[Path]:
    parent, dash, bits = element.rpartition("-")
    if not dash:
        return (Path(layout[index].name) for index in _set_bits(bits, len(layout)))
    slot = _compound(parent, layout)
    return (Path(slot.name, slot.parts[index]) for index in _set_bits(bits, len(slot.parts)))


def _compound(index: str, layout: Layout) -> Slot:
    if not (index.isascii() and index.isdecimal()) or int(index) >= len(layout) or not layout[int(index)].parts:
        raise ValueError(f"field {index[:24]!r} of a bitmap is no compound field of the schema")
    return layout[int(index)]


def _set_bits(text: str, fields: int) -> Iterator[int]:
    """Positions of the set bits below `fields`, the least significant first."""
    if not text.startswith("0x"):
        raise ValueError(f"{text[:24]!r} is no bitmap")
    bits = int(text, 16) & ((1 << fields) - 1)
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
