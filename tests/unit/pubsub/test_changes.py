"""What change events say, kind by kind: the claims, and what is left as dirty or as a hole."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import mapping, versions
from schemas.events import RecordChange
from schemas.mapping import Field
from services.salesforce.pubsub import changes
from services.salesforce.pubsub.avro import Undecodable
from tests.unit.pubsub.events import ADDRESS, COMMIT_MS, COMMIT_NUMBER, PERSON, REPLAY, event, schema

OBJECTS = mapping.load().objects
PRODUCT = schema(
    "Product2",
    {
        "Name": "string",
        "ProductCode": "string",
        "Description": "string",
        "IsActive": "boolean",
        "StockKeepingUnit": "string",
        "LastModifiedDate": "long",
        "Plan_Tier__c": "string",
    },
)
ENTRY = schema("PricebookEntry", {"UnitPrice": "double", "IsActive": "boolean", "Product2Id": "string"})
ORDER = schema("Order", {"EffectiveDate": "long", "CreatedDate": "long", "Status": "string", "AccountId": "string"})
P1, P2 = "01t000000000001AAA", "01t000000000002AAA"


def read(of: object, *args: object, **kwargs: object) -> tuple[RecordChange, ...]:
    return changes.of_event(event(of, *args, **kwargs), of, OBJECTS, REPLAY).changes  # type: ignore[arg-type]


def test_create_claims_the_mapped_values_it_carries_and_life() -> None:
    (change,) = read(
        PRODUCT, "CREATE", [P1], {"Name": "Fibre", "ProductCode": "X", "IsActive": True, "Description": ""}
    )

    assert change.kind == "create"
    assert change.fields == {"IsDeleted": False, "Name": "Fibre", "IsActive": True}
    assert change.covers is None


def test_change_carries_its_commit_as_version_and_provenance() -> None:
    (change,) = read(PRODUCT, "DELETE", [P1])

    assert change.version == versions.event_version(COMMIT_MS, COMMIT_NUMBER, 1)
    assert change.committed_at == versions.moment(COMMIT_MS)
    assert (change.replay_id, change.sequence, change.commit_number) == (REPLAY, 1, str(COMMIT_NUMBER))
    assert change.origin == "cdc"


def test_update_claims_only_changed_fields_and_its_nulls() -> None:
    (change,) = read(
        PRODUCT,
        "UPDATE",
        [P1],
        {"Name": "Fibre 2", "LastModifiedDate": COMMIT_MS},
        changed=["Name", "Plan_Tier__c", "LastModifiedDate"],
        nulled=["Plan_Tier__c"],
    )

    assert (change.kind, change.fields) == ("update", {"IsDeleted": False, "Name": "Fibre 2", "Plan_Tier__c": None})


def test_update_of_unmapped_fields_still_says_that_the_record_lives() -> None:
    (change,) = read(PRODUCT, "UPDATE", [P1], {"ProductCode": "Y"}, changed=["ProductCode"])

    assert (change.kind, change.fields) == ("update", {"IsDeleted": False})


def test_changed_field_without_value_and_without_null_bit_leaves_the_record_dirty() -> None:
    update, dirty = read(PRODUCT, "UPDATE", [P1], {"IsActive": False}, changed=["Name", "IsActive"])

    assert update.fields == {"IsDeleted": False, "IsActive": False}
    assert (dirty.kind, dirty.fields, dirty.version) == ("dirty", {}, update.version)


def test_delete_says_only_that_the_record_is_gone() -> None:
    (change,) = read(PRODUCT, "DELETE", [P1])

    assert (change.kind, change.fields) == ("delete", {"IsDeleted": True})


def test_undelete_claims_nulls_too() -> None:
    (change,) = read(PRODUCT, "UNDELETE", [P1], {"Name": "Fibre"})

    assert change.kind == "undelete"
    assert change.fields["Name"] == "Fibre"
    assert change.fields["Plan_Tier__c"] is None


def test_undelete_with_an_empty_body_is_life_and_a_gap() -> None:
    undelete, dirty = read(PRODUCT, "UNDELETE", [P1])

    assert undelete.fields == {"IsDeleted": False}
    assert dirty.kind == "dirty"


@pytest.mark.parametrize("kind", ["GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE"])
def test_gap_makes_its_records_dirty(kind: str) -> None:
    found = read(PRODUCT, kind, [P1, P2])

    assert [(change.kind, change.record_id, change.fields) for change in found] == [
        ("dirty", P1, {}),
        ("dirty", P2, {}),
    ]


def test_diff_is_never_taken_for_the_value() -> None:
    update, dirty = read(
        PRODUCT,
        "UPDATE",
        [P1],
        {"Name": "Fibre", "Description": "--- \n+++ 9f86\n@@ -1 +1 @@"},
        changed=["Name", "Description"],
        diffs=["Description"],
    )

    assert update.fields == {"IsDeleted": False, "Name": "Fibre"}
    assert dirty.kind == "dirty"


def test_diff_of_an_unmapped_field_matters_to_nobody() -> None:
    found = read(PRODUCT, "UPDATE", [P1], {"ProductCode": "---"}, changed=["ProductCode"], diffs=["ProductCode"])

    assert [change.kind for change in found] == ["update"]


def test_merged_event_says_the_same_of_each_record() -> None:
    first, second = read(PRODUCT, "UPDATE", [P1, P2], {"IsActive": False}, changed=["IsActive"])

    assert (first.record_id, second.record_id) == (P1, P2)
    assert (first.fields, first.version) == (second.fields, second.version)


def test_overflow_is_a_hole_and_no_record() -> None:
    found = changes.of_event(event(PRODUCT, "GAP_OVERFLOW", ["000000000000000AAA"]), PRODUCT, OBJECTS, REPLAY)

    (hole,) = found.holes
    assert found.changes == ()
    assert (hole.object, hole.basis, hole.hole_id) == ("Product2", "hole", f"overflow:{REPLAY}")
    assert (hole.hole_from, hole.hole_to) == (versions.moment(COMMIT_MS), versions.moment(COMMIT_MS))


def test_wildcard_is_a_hole_beside_the_records_it_names() -> None:
    found = changes.of_event(event(PRODUCT, "GAP_UPDATE", [P1, "01t*"]), PRODUCT, OBJECTS, REPLAY)

    assert [change.record_id for change in found.changes] == [P1]
    assert [hole.hole_id for hole in found.holes] == [f"wildcard:{REPLAY}"]


def test_money_keeps_its_digits_and_times_their_form() -> None:
    (entry,) = read(ENTRY, "CREATE", ["01u000000000001AAA"], {"UnitPrice": 19.9, "Product2Id": P1[:15]})
    (order,) = read(
        ORDER, "CREATE", ["801000000000001AAA"], {"EffectiveDate": 1_767_225_600_000, "CreatedDate": 1_767_225_600_120}
    )

    assert entry.fields == {"IsDeleted": False, "UnitPrice": "19.9", "Product2Id": P1}
    assert order.fields["EffectiveDate"] == "2026-01-01"
    assert order.fields["CreatedDate"] == "2026-01-01T00:00:00.120Z"


def test_object_that_is_not_mapped_says_nothing() -> None:
    contact = schema("NotShadowed__c", {"Name": "string"})

    found = changes.of_event(event(contact, "CREATE", ["003000000000001AAA"], {"Name": "x"}), contact, OBJECTS, REPLAY)

    assert (found.changes, found.holes) == ((), ())


@pytest.mark.parametrize(
    ("change_type", "ids"), [("ARCHIVE", [P1]), ("SNAPSHOT", [P1]), ("UPDATE", ["01t000000000001AAB"])]
)
def test_event_that_makes_no_sense_is_undecodable(change_type: str, ids: list[str]) -> None:
    with pytest.raises(Undecodable):
        read(PRODUCT, change_type, ids)


def test_value_of_another_type_than_mapped_is_undecodable_by_name() -> None:
    wrong = schema("PricebookEntry", {"UnitPrice": "string"})

    with pytest.raises(Undecodable, match="UnitPrice"):
        read(wrong, "CREATE", ["01u000000000001AAA"], {"UnitPrice": "many"})


class TestCompoundFields:
    SCHEMA = schema(
        "Account",
        {
            "Name": ["null", "string", PERSON],
            "BillingAddress": ADDRESS,
            "ShippingAddress": ["null", "Address"],
            "Site__c": ["null", "Address"],
        },
    )
    NAMES = ("Name", "FirstName", "BillingStreet", "BillingCity", "ShippingCity", "Site__Latitude__s")
    ACCOUNT = dataclasses.replace(
        OBJECTS["Account"],
        fields={n: Field(name=n, type="decimal" if n.startswith("Site") else "text") for n in NAMES},
    )
    ID = "001000000000001AAA"

    def read(self, *args: object, **kwargs: object) -> list[tuple[str, dict[str, object]]]:
        raw = event(self.SCHEMA, *args, **kwargs)  # type: ignore[arg-type]
        found = changes.of_event(raw, self.SCHEMA, {"Account": self.ACCOUNT}, REPLAY)
        return [(change.kind, change.fields) for change in found.changes]

    def test_parts_have_their_rest_names(self) -> None:
        found = self.read("CREATE", [self.ID], {"Name": "Acme", "BillingAddress": {"Street": "1 A St", "City": "Oslo"}})

        assert found == [
            ("create", {"IsDeleted": False, "Name": "Acme", "BillingStreet": "1 A St", "BillingCity": "Oslo"})
        ]

    def test_part_is_changed_and_nulled_by_its_own_bit(self) -> None:
        found = self.read(
            "UPDATE",
            [self.ID],
            {"BillingAddress": {"Street": "2 B St"}, "Site__c": {"Latitude": 35.68}},
            changed=["BillingAddress.Street", "BillingAddress.City", "Site__c.Latitude"],
            nulled=["BillingAddress.City"],
        )

        assert found == [
            (
                "update",
                {"IsDeleted": False, "BillingStreet": "2 B St", "BillingCity": None, "Site__Latitude__s": "35.68"},
            )
        ]

    def test_whole_compound_nulled_empties_all_its_parts(self) -> None:
        found = self.read("UPDATE", [self.ID], changed=["BillingAddress"], nulled=["BillingAddress"])

        assert found == [("update", {"IsDeleted": False, "BillingStreet": None, "BillingCity": None})]

    def test_name_in_parts_cannot_be_put_together(self) -> None:
        person = {"FirstName": "Ada", "LastName": "L"}

        assert self.read("UPDATE", [self.ID], {"Name": person}, changed=["Name.FirstName"]) == [
            ("update", {"IsDeleted": False, "FirstName": "Ada"}),
            ("dirty", {}),
        ]
        assert self.read("CREATE", [self.ID], {"Name": person})[1][0] == "dirty"


FIELDS = ("Name", "Description", "StockKeepingUnit", "Plan_Tier__c")


@given(
    st.dictionaries(
        st.sampled_from(FIELDS), st.none() | st.text(min_size=1, max_size=5).filter(lambda t: "\x00" not in t)
    ),
    st.sets(st.sampled_from(FIELDS)),
)
def test_update_claims_exactly_what_its_bits_name(body: dict[str, str | None], unrelated: set[str]) -> None:
    left_over: dict[str, str | None] = dict.fromkeys(unrelated, "left over")
    values = {**left_over, **body}
    nulled = [name for name, value in body.items() if value is None]

    (change,) = read(PRODUCT, "UPDATE", [P1], values, changed=body.keys(), nulled=nulled)

    assert change.fields == {"IsDeleted": False, **body}
