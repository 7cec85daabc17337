"""The mapping is data: what it says is what enters Kafka, and a wrong file is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import mapping


def test_default_mapping_fills_every_column_of_the_plan() -> None:
    objects = mapping.load().objects

    assert {f.column for f in objects["Product2"].fields.values() if f.column} == {
        "sku", "name", "item_class", "offering_type", "plan_tier", "vpn_region",
    }  # fmt: skip
    assert objects["Account"].value_of("internet_eligibility", {"Internet_Eligibility__c": "Home 1G"}) == "Home 1G"


def test_a_required_field_that_is_null_or_unknown_is_missing() -> None:
    entry = mapping.load().objects["PricebookEntry"]
    known = {"Product2Id": "01t", "Pricebook2Id": "01s", "UnitPrice": "1", "IsActive": None}

    assert entry.missing(known) == ("CurrencyIsoCode", "IsActive")


def _write(tmp_path: Path, old: str, new: str) -> Path:
    text = mapping.DEFAULT_FILE.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "mapping.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_a_column_may_be_a_constant(tmp_path: Path) -> None:
    field = 'CurrencyIsoCode = { type = "text", column = "currency_iso_code", required = true }\n'
    file = _write(tmp_path, field, "")
    with file.open("a", encoding="utf-8") as out:
        out.write('\n[objects.PricebookEntry.constants]\ncurrency_iso_code = "JPY"\n')

    entry = mapping.load(file).objects["PricebookEntry"]

    assert entry.value_of("currency_iso_code", {}) == "JPY"
    assert "CurrencyIsoCode" not in entry.select


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    file = _write(
        tmp_path, 'Name = { type = "text", column = "name"', 'Name = { typ = "x", type = "string", column = "sku"'
    )

    with pytest.raises(mapping.MappingError) as error:
        mapping.load(file)

    for fault in ("unknown key typ", "type 'string' is none of", "column sku is filled twice"):
        assert fault in str(error.value)


def test_a_column_that_the_table_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    file = _write(tmp_path, 'column = "eligibility_source"', 'column = "account_type"')

    with pytest.raises(mapping.MappingError, match="there is no column account_type to fill"):
        mapping.load(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(mapping.MappingError, match=r"nowhere\.toml"):
        mapping.load(tmp_path / "nowhere.toml")


def test_a_reason_has_its_own_sentence() -> None:
    statuses = mapping.load().order_status

    assert statuses.message("Failed", "LINE_UNAVAILABLE") == "No line is available at your address."
    assert statuses.message("Failed", "SOMETHING_NEW") == statuses.messages["Failed"]
