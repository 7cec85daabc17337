"""A difference between Umbra and the org is named with the first reason that explains it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from schemas import mapping, versions
from schemas.events import RecordChange
from schemas.join import State, join, state_of
from schemas.versions import Version
from services.ops import proof
from services.ops.ledger import Ledger, Open
from services.ops.proof import Case, Held, Kept, Line, Told
from services.projector import project
from services.projector.rows import Hidden

PRODUCTS = mapping.load().objects["Product2"]
ORDERS = mapping.load().objects["Order"]
R0 = 1_793_588_645_000
M = 30_000
LONG_AGO = R0 - 3_600_000
ID = "01t000000000001AAA"
FIELDS = {name: None for name in PRODUCTS.fields} | {
    "StockKeepingUnit": "A",
    "Name": "Alpha",
    "IsActive": True,
    "IsDeleted": False,
}


def at(ms: int) -> datetime:
    return versions.moment(ms)


def read(began_ms: int, stamped_ms: int = LONG_AGO, **fields: Any) -> RecordChange:
    return RecordChange(
        kind="snapshot",
        object="Product2",
        record_id=ID,
        version=versions.read_version(began_ms, M),
        origin="backfill",
        fields=FIELDS | fields,
        covers="all",
        system_modstamp=at(stamped_ms),
    )


def event(ms: int, **fields: Any) -> RecordChange:
    version = versions.event_version(ms, 1, 1)
    return RecordChange(kind="update", object="Product2", record_id=ID, version=version, origin="cdc", fields=fields)


def ledger(observed: int | None = R0, *holes: Open) -> Ledger:
    until = None if observed is None else at(observed)
    return Ledger("Product2", until, until, until, holes=list(holes))


def row_of(state: State) -> dict[str, Any]:
    row: Any = project.product(PRODUCTS, ID, state)
    return {name: getattr(row, name) for name in row.__dataclass_fields__ if name not in ("active", "raw_payload")}


def case(org: RecordChange | None, state: State | None, covered: Ledger | None = None, **held: Any) -> Case:
    row = row_of(state) if state is not None and "row" not in held else held.pop("row", None)
    hidden = held.pop("hidden", None)
    return Case(PRODUCTS, ID, Told(org, R0), Held(state, row, hidden), covered or ledger(), M)


def differing(of: Case) -> dict[str, str]:
    return {f"{line.place}.{line.field}": line.why for line in of.lines() if line.why is not None}


KNOWN = state_of(read(LONG_AGO + 60_000))


def test_what_is_the_same_agrees_in_state_and_row() -> None:
    made = case(read(R0), KNOWN)

    assert differing(made) == {}
    assert {line.field for line in made.lines() if line.place == "state"} == {"IsDeleted", *PRODUCTS.fields}
    assert {"sku", "name", "item_class"} <= {line.field for line in made.lines() if line.place == "row"}


def test_a_change_younger_than_the_margin_is_under_way() -> None:
    found = differing(case(read(R0, R0 - 2_000, Name="Beta"), KNOWN))

    assert "under way: changed in the org 2.0 s before" in found["state.Name"]
    assert found["row.name"] == "as the state: Name"
    assert found.keys() == {"state.Name", "row.name"}


def test_an_event_that_the_read_may_not_have_seen_is_under_way() -> None:
    found = differing(case(read(R0), join(KNOWN, state_of(event(R0 - 1_000, Name="Beta")))))

    assert "under way: Umbra has a change of" in found["state.Name"]


def test_a_dirty_record_says_which_read_repairs_it() -> None:
    mark = State(dirty=Version(versions.event_version(R0 - 40_000, 1, 1)))

    found = differing(case(read(R0, R0 - 40_000, Name="Beta"), join(KNOWN, mark)))

    assert found["state.Name"].startswith("dirty: changed at")
    assert "from 2026-11-02T03:03:56.000Z on" in found["state.Name"]


def test_a_change_in_an_open_hole_names_the_hole() -> None:
    hole = Open("overflow:0a", "overflow", at(LONG_AGO), at(LONG_AGO), "overflow", 1.0, "full", None)

    found = differing(case(read(R0, LONG_AGO, Name="Beta"), KNOWN, ledger(LONG_AGO, hole)))

    assert found["state.Name"].startswith("in the open hole overflow:0a: a transaction changed more")


def test_a_change_without_a_stamp_may_lie_in_an_open_hole() -> None:
    """A converted field moves no stamp, and its event names no record."""
    hole = Open("wildcard:0a", "wildcard", at(R0 - 60_000), at(R0 - 60_000), "wildcard", 1.0, "full", None)

    found = differing(case(read(R0, Name="Beta"), KNOWN, ledger(R0, hole)))

    assert found["state.Name"].startswith("the open hole wildcard:0a may hold it")


@pytest.mark.parametrize(
    ("observed", "why"),
    [(R0 - 900_000, "observed until 2026-11-02T02:49:05.000Z only"), (None, "was never covered")],
)
def test_a_change_after_the_coverage_says_how_far_that_goes(observed: int | None, why: str) -> None:
    found = differing(case(read(R0, R0 - 600_000, Name="Beta"), KNOWN, ledger(observed)))

    assert why in found["state.Name"]


def test_a_field_that_nobody_told_wants_a_backfill() -> None:
    some = State({name: value for name, value in KNOWN.payload.items() if name != "Description"}, KNOWN.base)

    found = differing(case(read(R0, Description="x"), some))

    assert found["state.Description"].startswith("never told")


def test_a_field_that_the_org_hides_is_said() -> None:
    seen = read(R0)
    hidden = {name: value for name, value in seen.fields.items() if name != "Plan_Tier__c"}
    org = RecordChange(**{name: getattr(seen, name) for name in seen.__struct_fields__} | {"fields": hidden})

    assert "does not show this field" in differing(case(org, KNOWN))["state.Plan_Tier__c"]


def test_what_nothing_explains_is_called_that() -> None:
    assert differing(case(read(R0, Name="Beta"), KNOWN))["state.Name"].startswith("not explained")


def test_a_record_that_the_org_has_deleted_agrees_with_none_here_and_differs_from_a_living_one() -> None:
    assert differing(case(None, None)) == {}
    assert (
        differing(case(read(R0, IsDeleted=True), State({**KNOWN.payload, "IsDeleted": True}, KNOWN.base), row=None))
        == {}
    )
    assert set(differing(case(None, KNOWN))) == {"state.IsDeleted", "row.(shown)"}


def test_a_row_that_does_not_follow_its_state_is_a_fault() -> None:
    wrong = differing(case(read(R0), KNOWN, row=row_of(KNOWN) | {"name": "Gamma"}))
    none = differing(case(read(R0), KNOWN, row=None))

    assert list(wrong) == ["row.name"]
    assert "fault of the projection" in wrong["row.name"]
    assert "fault of the projection" in none["row.(shown)"]


def test_a_record_that_a_rule_keeps_out_agrees() -> None:
    taken = case(read(R0), KNOWN, row=None, hidden=Hidden("sku_taken", "01t000000000002AAA"))

    assert differing(taken) == {}


def test_an_order_shows_what_the_log_of_statuses_says() -> None:
    fields: dict[str, Any] = {name: None for name in ORDERS.fields} | {"Status": "Draft", "IsDeleted": False}
    org = read(R0)
    values = {name: getattr(org, name) for name in org.__struct_fields__}
    told = RecordChange(**values | {"object": "Order", "fields": fields})
    state = state_of(told)
    version = versions.status_version(LONG_AGO + 5_000, "fulfilment", 0, 0, False, "x")
    row: Any = project.order(ORDERS, ID, state, None)
    shown = {name: getattr(row, name) for name in row.__dataclass_fields__} | {
        "status": "Activating",
        "status_version": version,
    }

    made = Case(ORDERS, ID, Told(told, R0), Held(state, shown, None), ledger(), M)

    (line,) = [line for line in made.lines() if not line.agrees]
    assert line.field == "status"
    assert "Activating since" in (line.why or "")
    assert "later than the org's record" in (line.why or "")


def lines(*kept: Kept) -> list[Line]:
    return list(proof.cached(kept))


def test_a_kept_answer_is_compared_value_by_value() -> None:
    body = b'{"sku":"A","prices":[{"unitPrice":"1.00"}]}'
    same = Kept("product A", body, body)
    old = replace(same, fresh=b'{"sku":"A","prices":[{"unitPrice":"2.00"}]}', untold_seconds=1.5)

    assert [line.agrees for line in lines(same)] == [True, True]
    (line,) = [line for line in lines(old) if not line.agrees]
    assert (line.field, line.here, line.there) == ("product A.prices[0].unitPrice", "1.00", "2.00")
    assert "not been told for 1.5 s" in (line.why or "")


def test_a_told_cache_that_still_keeps_the_old_is_a_fault_and_nothing_kept_is_none() -> None:
    gone = Kept("product A", b'{"sku":"A"}', b"")

    assert any("fault of the cache" in (line.why or "") for line in lines(gone))
    assert lines(Kept("product A", None, b"{}")) == []
