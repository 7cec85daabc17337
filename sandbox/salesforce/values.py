"""Field values between JSON or CSV and the store: what a client may send, and how the org writes it back."""

import math
from datetime import UTC, date, datetime

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.ids import extend
from sandbox.salesforce.schema import NUMBER_TYPES, Field, Value


def parse(field: Field, raw: object) -> Value:
    """The stored form of a JSON value.  Raises Refused; an empty text is a null."""
    if raw is None:
        return None
    if field.type == "boolean":
        return _boolean(field, raw)
    if field.type in NUMBER_TYPES:
        return _number(field, raw)
    if field.type == "datetime":
        return _instant(field, raw)
    if field.type == "date":
        return _date(field, raw)
    return _text(field, raw)


def _mismatch(field: Field, raw: object) -> Refused:
    kind = "boolean" if isinstance(raw, bool) else "string" if isinstance(raw, str) else "number"
    return Refused(
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {field.type} from VALUE_{kind.upper()} value {raw}",
        [field.name],
    )


def _boolean(field: Field, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in ("true", "false"):
        return raw.lower() == "true"
    raise _mismatch(field, raw)


def _number(field: Field, raw: object) -> float | int:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise _mismatch(field, raw)
    try:
        number = float(raw)
    except ValueError:
        raise _mismatch(field, raw) from None
    if not math.isfinite(number) or abs(number) >= 1e18:
        raise Refused("NUMBER_OUTSIDE_VALID_RANGE", f"{field.label}: value outside of valid range: {raw}", [field.name])
    return int(number) if field.type == "int" else number


def _instant(field: Field, raw: object) -> int:
    if isinstance(raw, str):
        try:
            return instant_ms(raw)
        except ValueError:
            pass
    raise _mismatch(field, raw)


def _date(field: Field, raw: object) -> str:
    if isinstance(raw, str):
        try:
            return date.fromisoformat(raw[:10]).isoformat()
        except ValueError:
            pass
    raise _mismatch(field, raw)


def _text(field: Field, raw: object) -> str | None:
    if not isinstance(raw, str):
        raise _mismatch(field, raw)
    text = raw.strip()
    if not text:
        return None
    if field.type in ("reference", "id"):
        if (full := extend(text)) is None:
            raise Refused("MALFORMED_ID", f"{field.label}: id value of incorrect type: {text}", [field.name])
        return full
    if len(text) > field.length:
        raise Refused(
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {text[:80]} (max length={field.length})",
            [field.name],
        )
    return text


def instant_ms(text: str) -> int:
    """Epoch milliseconds of an ISO-8601 date-time with an offset.  Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a date-time without an offset")
    return round(moment.timestamp() * 1000)


def _iso(ms: int, zone: str) -> str:
    second = datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19]
    return f"{second}.{ms % 1000:03d}{zone}"


def rest_time(ms: int) -> str:
    """`2026-01-02T03:04:05.000+0000`, the REST form."""
    return _iso(ms, "+0000")


def csv_time(ms: int) -> str:
    """`2026-01-02T03:04:05.000Z`, the Bulk form."""
    return _iso(ms, "Z")


def to_json(field: Field, value: Value) -> Value:
    """A stored value as REST shows it."""
    return rest_time(int(value)) if field.type == "datetime" and value is not None else value


def to_csv(field: Field, value: Value) -> str:
    """A stored value as a Bulk result shows it; null is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.type == "datetime":
        return csv_time(int(value))
    return str(value)
