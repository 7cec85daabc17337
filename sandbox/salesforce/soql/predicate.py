"""WHERE as a function of a record.

Text compares without case, ids exactly; a null is only equal to null, is unequal to everything else, and is never
greater or smaller.
"""

import operator
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.ids import extend
from sandbox.salesforce.schema import NUMBER_TYPES, Field, Record, Value
from sandbox.salesforce.soql import dates
from sandbox.salesforce.soql.paths import Paths
from sandbox.salesforce.soql.tree import All, AnyOf, Comparison, Condition, Literal, Not
from sandbox.salesforce.values import instant_ms

Test: TypeAlias = Callable[[Record], bool]
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile_condition(condition: Condition, paths: Paths, now_ms: int) -> Test:
    """Raises Refused for unknown fields and for values that do not fit their field."""
    if isinstance(condition, Comparison):
        return _comparison(condition, paths, now_ms)
    if isinstance(condition, Not):
        inner = compile_condition(condition.inner, paths, now_ms)
        return lambda record: not inner(record)
    tests = [compile_condition(part, paths, now_ms) for part in condition.parts]
    if isinstance(condition, All):
        return lambda record: all(test(record) for test in tests)
    assert isinstance(condition, AnyOf)  # noqa: S101 - the fourth of four
    return lambda record: any(test(record) for test in tests)


def _comparison(comparison: Comparison, paths: Paths, now_ms: int) -> Test:
    field, get = paths.resolve(comparison.path)
    if comparison.operator == "LIKE":
        return _like(field, get, comparison.values[0])
    if comparison.operator in ("IN", "NOT IN"):
        wanted = {_value(field, literal) for literal in comparison.values}
        inside = comparison.operator == "IN"
        return lambda record: (_key(field, get(record)) in wanted) == inside
    literal = comparison.values[0]
    if (span := _span(field, literal, now_ms)) is not None:
        return _in_span(field, get, comparison.operator, span)
    value = _value(field, literal)
    if comparison.operator in ("=", "!="):
        equal = comparison.operator == "="
        return lambda record: (_key(field, get(record)) == value) == equal
    return _ordered(field, get, comparison.operator, value)


def _ordered(field: Field, get: Callable[[Record], Value], sign: str, value: Value) -> Test:
    if value is None or field.type == "boolean":
        raise Refused("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {field.type} field")
    compare = _ORDER[sign]

    def test(record: Record) -> bool:
        found = _key(field, get(record))
        return found is not None and compare(found, value)

    return test


def _like(field: Field, get: Callable[[Record], Value], literal: Literal) -> Test:
    if literal.kind != "text":
        raise Refused("INVALID_FIELD", f"LIKE on {field.name} needs a text")
    parts = re.split(r"(\\?[%_])", literal.text)
    wild = {"%": ".*", "_": "."}
    source = "".join(
        wild.get(part) or re.escape(part.removeprefix("\\") if part in ("\\%", "\\_") else part) for part in parts
    )
    pattern = re.compile(source, re.IGNORECASE | re.DOTALL)
    return lambda record: (found := get(record)) is not None and pattern.fullmatch(str(found)) is not None


def _span(field: Field, literal: Literal, now_ms: int) -> tuple[int, int] | None:
    """The range a date word or, on a date-time field, a plain date stands for."""
    if literal.kind == "range":
        if (span := dates.literal_range(literal.text, now_ms)) is None or field.type not in ("date", "datetime"):
            raise Refused("MALFORMED_QUERY", f"unexpected token: '{literal.text}'")
        return span
    if literal.kind == "date" and field.type == "datetime":
        return dates.day_range(literal.text)
    return None


def _in_span(field: Field, get: Callable[[Record], Value], sign: str, span: tuple[int, int]) -> Test:
    start, end = span
    tests: dict[str, Callable[[int], bool]] = {
        "=": lambda at: start <= at < end,
        "!=": lambda at: not start <= at < end,
        "<": lambda at: at < start,
        "<=": lambda at: at < end,
        ">": lambda at: at >= end,
        ">=": lambda at: at >= start,
    }
    test = tests[sign]

    def check(record: Record) -> bool:
        found = get(record)
        if found is None:
            return sign == "!="
        return test(dates.day_range(str(found))[0] if field.type == "date" else int(found))

    return check


def _key(field: Field, value: Value) -> Value:
    """A stored value in the form it compares in."""
    if isinstance(value, str) and field.type not in ("id", "reference", "date"):
        return value if field.unique else value.casefold()
    return value


def _value(field: Field, literal: Literal) -> Value:
    """A literal in the form it compares in.  Raises Refused when its kind does not fit the field."""
    if literal.kind == "null":
        return None
    if field.type == "boolean" and literal.kind == "boolean":
        return literal.text == "TRUE"
    if field.type in NUMBER_TYPES and literal.kind == "number":
        return float(literal.text)
    if field.type == "datetime" and literal.kind == "datetime":
        return _instant(literal.text)
    if field.type == "date" and literal.kind == "date":
        return literal.text
    if literal.kind == "text" and field.type not in NUMBER_TYPES and field.type not in ("boolean", "datetime", "date"):
        return _id(field, literal.text) if field.type in ("id", "reference") else _key(field, literal.text)
    raise Refused("INVALID_FIELD", f"value of filter criterion for field '{field.name}' must be of type {field.type}")


def _instant(text: str) -> int:
    try:
        return instant_ms(text)
    except ValueError:
        raise Refused("MALFORMED_QUERY", f"invalid date-time: {text}") from None


def _id(field: Field, text: str) -> str:
    if (full := extend(text)) is None:
        raise Refused("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text} ({field.name})")
    return full
