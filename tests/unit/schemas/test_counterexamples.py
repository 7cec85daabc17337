"""C1 to C13: the histories that broke a simpler rule, each literally, under the rule that holds (docs/correctness.md).

Times are seconds on the org's clock; M is 5 s unless a test says otherwise.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.salesforce.driver.inprocess import Played
from sandbox.salesforce.driver.steps import Step
from schemas import join, mapping, versions
from schemas.events import RecordChange
from schemas.join import ALIVE, State
from schemas.versions import Version
from services.projector import project
from services.projector.batch import Key
from services.projector.rows import Shadow

M = 5_000


def ms(seconds: float) -> int:
    return 1_790_000_000_000 + round(seconds * 1000)


def event(kind: Any, at: float, number: int = 1, **fields: Any) -> RecordChange:
    version = versions.event_version(ms(at), number, 1)
    return RecordChange(kind=kind, object="X", record_id="r", version=version, origin="cdc", fields=fields)


def read(began: float, margin_ms: int = M, **fields: Any) -> RecordChange:
    """A full read; without fields it found nothing."""
    kind: Any = "snapshot" if fields else "absent"
    version = versions.read_version(ms(began), margin_ms)
    more: Any = {"covers": "all"} if fields else {}
    return RecordChange(kind=kind, object="X", record_id="r", version=version, origin="repair", fields=fields, **more)


def after(*messages: RecordChange) -> State:
    return join.join_all(join.state_of(message) for message in messages)


def row(*messages: RecordChange) -> dict[str, Any]:
    """What is known of the record, once in this order and once in the other, which have to agree."""
    state = after(*messages)
    assert state == after(*reversed(messages))
    return {name: value for name, value in state.payload.items() if name != ALIVE}


def test_c1_a_sparse_update_before_any_read_does_not_shut_the_read_out() -> None:
    assert row(event("update", 103, a=4), read(102, a=1, b=2)) == {"a": 4, "b": 2}
    assert row(event("update", 103, a=4), read(104, a=4, b=2)) == {"a": 4, "b": 2}


def test_c2_a_long_transaction_does_not_block_the_read_that_heals() -> None:
    # The create is lost; an update stamped 100 commits at 110.5; the healing read begins at 117.5.
    assert row(event("update", 110, b=2), read(117.5, a=1, b=2)) == {"a": 1, "b": 2}


def test_c3_sparse_events_out_of_order_and_one_redelivered_after_a_later_one() -> None:
    create = event("create", 100, a=1, b=2)
    assert row(event("update", 101, 2, a=4), create) == {"a": 4, "b": 2}
    lost = event("update", 101, 2, b=4)
    assert row(create, event("update", 121, 3, a=5), lost) == {"a": 5, "b": 4}


def test_c4_a_derived_value_without_event_and_stamp_comes_with_the_next_read() -> None:
    assert row(read(100, a=1, d=1), read(200, a=1, d=2)) == {"a": 1, "d": 2}


def test_c5_a_read_that_began_before_the_change_was_visible_does_not_undo_it() -> None:
    # Commit 102.25 reported as 101.25 and visible at 105.25; the read begins at 105.25, by our clock at 106.25.
    assert row(event("update", 101.25, 2, a=4), read(106.25, a=3, b=1)) == {"a": 4, "b": 1}


def test_c6_not_found_before_an_undelete_was_visible_does_not_hide_a_live_record() -> None:
    # Created at 100, visible at 103; a read at 102 does not find it.
    assert after(event("create", 100, a=1), read(102)).alive
    assert after(read(102), event("create", 100, a=1)).alive


def test_c7_two_updates_of_one_second_with_a_read_between_them() -> None:
    # LastModifiedDate is 107 on both sides: a rule that compares it calls the second update stale.
    assert row(event("update", 107, 1, a=1), read(107.5, a=1, b=0), event("update", 107, 2, a=2)) == {"a": 2, "b": 0}


def test_c8_a_busy_record_heals_though_it_changes_again_before_the_repair() -> None:
    gap = event("dirty", 100)
    create, busy = event("create", 90, a=0, b=0), event("update", 241, 3, b=5)
    assert row(create, gap, busy, read(168, a=4, b=0)) == {"a": 4, "b": 5}
    assert not after(create, gap, busy, read(168, a=4, b=0)).is_dirty


def test_c9_products_that_swap_their_skus_do_not_wait_for_each_other() -> None:
    first, second = product("1", 100, "X"), product("2", 100, "Y")
    assert shown(first, second).products.keys() == {"1", "2"}
    midway = shown(first, second, product("1", 200, "Y"))
    assert [row.sku for row in midway.products.values()] == ["Y"]
    swapped = shown(first, second, product("1", 200, "Y"), product("2", 200, "X"))
    assert {key: row.sku for key, row in swapped.products.items()} == {"1": "Y", "2": "X"}


def test_c10_an_entry_and_its_product_by_two_writers_are_both_shown() -> None:
    # What is shown is a function of what is known, whoever came last; that two real connections keep it equal to
    # that is held by tests/integration/projector.
    fields: dict[str, Any] = {
        "Product2Id": "1",
        "Pricebook2Id": "b",
        "UnitPrice": "1",
        "CurrencyIsoCode": "JPY",
        "IsActive": True,
    }
    entry = replace(event("create", 100, **fields), object="PricebookEntry", record_id="e")
    assert shown(entry).entries == {}
    assert shown(entry, product("1", 100, "X")).entries.keys() == {"e"}
    assert shown(product("1", 100, "X"), entry).entries.keys() == {"e"}


def test_c11_a_rebuild_from_a_cut_log_needs_a_full_read_inside_it() -> None:
    # The log: deleted at 200; an old snapshot, read at 100, written late. Retention drops the delete first.
    snapshot, deleted, job = read(100, a=1), event("delete", 200), versions.read_version(ms(300), M)
    assert after(deleted, snapshot).deleted
    rebuilt = after(snapshot)
    assert rebuilt.alive  # resurrected, unless what is older than the full read and not in it is dropped
    assert rebuilt.newest is not None
    assert rebuilt.newest < job


def test_c12_an_equal_version_moves_nothing_so_a_repair_replay_has_to_say_so() -> None:
    state = after(read(100, a=1))
    assert not join.moves(state, join.state_of(read(100, a=1)))


def test_c13_a_record_touched_after_the_windows_end_stays_in_a_window_without_one() -> None:
    played = Played(random.Random(1), ms(0), whole_seconds=True)
    create = {"op": "create", "object": "Product2", "fields": {"Name": "One"}}
    played.play(Step("transaction", {"operations": [create]}, ("@p",)))
    played.clock.advance(60_000)
    update = {"op": "update", "object": "Product2", "id": "@p", "fields": {"Name": "Two"}}
    played.play(Step("transaction", {"operations": [update], "as": {"lose_share": 1.0}}))
    asked_ms, since_ms = played.clock.now_ms(), played.clock.now_ms() - 2_000
    played.clock.advance(10_000)
    played.play(Step("touch", {"object": "Product2", "ids": ["@p"]}))
    stamps = [int(str(record["SystemModstamp"])) for record in played.org.store.tables["Product2"].records.values()]

    assert [since_ms <= stamp < asked_ms for stamp in stamps] == [False]
    assert [since_ms <= stamp for stamp in stamps] == [True]


def product(record_id: str, at: float, sku: str) -> RecordChange:
    fields: dict[str, Any] = {"StockKeepingUnit": sku, "Name": "P", "IsActive": True}
    return replace(event("update", at, **fields), object="Product2", record_id=record_id)


def shown(*messages: RecordChange) -> Shadow:
    states: dict[Key, State] = {}
    for message in messages:
        key = Key(message.object, message.record_id)
        states[key] = join.join(states.get(key, join.EMPTY), join.state_of(message))
    return project.shadow(mapping.load(), states, {})


@pytest.mark.parametrize("began", [versions.proves(ms(100), M) - 250, versions.proves(ms(100), M)])
def test_a_mark_is_cleared_by_a_read_that_began_late_enough_and_by_no_other(began: int) -> None:
    mark = event("dirty", 100)
    version: Version = versions.read_version(began, M)
    assert (version > mark.version) == (began >= versions.proves(ms(100), M))
