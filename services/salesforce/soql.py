"""SOQL text: values as literals that cannot end early, and the two queries that the services make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})


def literal(text: str) -> str:
    """A string as SOQL reads it, quotes included."""
    return f"'{text.translate(_ESCAPES)}'"


def among(field: str, values: Iterable[str]) -> str:
    """The condition that a field has one of these values."""
    return f"{field} IN ({','.join(map(literal, values))})"


def select(fields: Sequence[str], object_name: str, where: str = "") -> str:
    """A query; names come from the mapping, values in `where` through `literal`."""
    query = f"SELECT {', '.join(fields)} FROM {object_name}"  # noqa: S608 - SOQL, from names of the mapping
    return f"{query} WHERE {where}" if where else query


def count(object_name: str, where: str = "") -> str:
    """A query for the number of records."""
    return select(("COUNT()",), object_name, where)
