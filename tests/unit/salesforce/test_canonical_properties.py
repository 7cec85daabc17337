"""One value has one canonical form, whether Avro, REST or a CSV brought it.

Each way is written here as Salesforce writes it, apart from the code under test.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids, mapping
from schemas.mapping import FieldType
from services.salesforce import canonical

ENTRY = mapping.load().objects["PricebookEntry"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

texts = st.text(st.characters(codec="utf-8"), max_size=40)
moments = st.datetimes(datetime(1700, 1, 1), datetime(4000, 12, 31)).map(  # noqa: DTZ001 - the zone is put on below
    lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
)
record_ids = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=15, max_size=15)
money = st.decimals(-Decimal(10**11), Decimal(10**11), places=2)


def three_ways(kind: FieldType, avro: object, rest: object, csv: str) -> canonical.Value:
    """The one form of a value that came by all three ways."""
    forms = [
        canonical.scalar_from_avro(kind, avro),
        canonical.scalar_from_json(kind, rest),
        canonical.scalar_from_text(kind, csv),
    ]
    assert len({(type(form), form) for form in forms}) == 1, forms
    return forms[0]


@given(texts)
def test_text_is_the_same_by_every_way(text: str) -> None:
    form = three_ways("text", text, text, text)

    assert form == (text.replace("\x00", "") or None)


@given(money)
def test_money_is_exact_by_every_way(amount: Decimal) -> None:
    form = three_ways("decimal", float(amount), float(amount), str(amount))

    assert isinstance(form, str)
    assert Decimal(form) == amount
    assert "E" not in form.upper()
    assert form == "0" or not (form.endswith("0") and "." in form)
    assert form != "-0"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_keeps_its_value(number: float) -> None:
    form = three_ways("decimal", number, number, repr(number))

    assert float(str(form)) == number


@given(st.integers(-(2**31), 2**31 - 1))
def test_integer_is_the_same_by_every_way(number: int) -> None:
    assert three_ways("integer", number, number, str(number)) == number
    assert three_ways("integer", float(number), float(number), f"{number}.0") == number


@given(st.booleans())
def test_boolean_is_the_same_by_every_way(value: bool) -> None:
    assert three_ways("boolean", value, value, str(value).lower()) is value


@given(st.dates(date(1700, 1, 1), date(4000, 12, 31)))
def test_date_is_the_same_by_every_way(day: date) -> None:
    midnight = (day - date(1970, 1, 1)).days * 86_400_000

    assert three_ways("date", midnight, day.isoformat(), day.isoformat()) == day.isoformat()


@given(moments, st.integers(-12 * 60, 14 * 60))
def test_time_is_the_same_by_every_way_and_in_every_zone(moment: datetime, offset_minutes: int) -> None:
    ms = (moment - EPOCH) // timedelta(milliseconds=1)
    millis = moment.microsecond // 1000
    rest = moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{millis:03d}+0000"
    csv = moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{millis:03d}Z"
    local = (moment.replace(tzinfo=None) + timedelta(minutes=offset_minutes)).isoformat(timespec="milliseconds")
    sign, rest_minutes = ("-", -offset_minutes) if offset_minutes < 0 else ("+", offset_minutes)

    assert three_ways("datetime", ms, rest, csv) == csv
    assert (
        canonical.scalar_from_json("datetime", f"{local}{sign}{rest_minutes // 60:02d}:{rest_minutes % 60:02d}") == csv
    )


@given(record_ids)
def test_id_always_has_18_characters(first15: str) -> None:
    whole = first15 + ids.checksum(first15)

    assert three_ways("id", whole, first15, whole) == whole


@pytest.mark.parametrize("kind", ["text", "boolean", "decimal", "integer", "date", "datetime", "id"])
def test_nothing_is_null_by_every_way(kind: FieldType) -> None:
    assert three_ways(kind, None, None, "") is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", 5),
        ("text", True),
        ("boolean", "yes"),
        ("boolean", 1),
        ("decimal", True),
        ("decimal", float("nan")),
        ("decimal", "1e999"),
        ("decimal", "abc"),
        ("integer", 1.5),
        ("integer", "1.5"),
        ("date", "2026-01-02T03:04:05Z"),
        ("date", True),
        ("datetime", "2026-01-02T03:04:05"),
        ("datetime", 10**18),
        ("id", "01t"),
        ("text", {"a": 1}),
    ],
)
def test_value_that_does_not_fit_is_refused(kind: FieldType, value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.scalar_from_avro(kind, value)


def test_record_keeps_what_was_selected_and_nothing_else() -> None:
    record = {
        "attributes": {"type": "PricebookEntry"},
        "Id": "01u000000000001",
        "IsDeleted": False,
        "SystemModstamp": "2026-01-02T03:04:05.000+0000",
        "UnitPrice": 4980.0,
        "CurrencyIsoCode": None,
        "Unmapped__c": "x",
    }

    assert canonical.from_rest(ENTRY, record) == {
        "Id": "01u000000000001AAA",
        "IsDeleted": False,
        "SystemModstamp": "2026-01-02T03:04:05.000Z",
        "UnitPrice": "4980",
        "CurrencyIsoCode": None,
    }


def test_fault_names_the_field() -> None:
    with pytest.raises(ValueError, match=r"PricebookEntry\.UnitPrice is mapped as decimal"):
        canonical.from_csv(ENTRY, {"Id": "01u000000000001AAA", "UnitPrice": "many"})
