"""What may happen to an org: each oddity by itself, and that all of them leave one consistent org behind."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce import avro
from sandbox.salesforce.clock import Clock
from sandbox.salesforce.driver.inprocess import Played
from sandbox.salesforce.driver.steps import Step
from sandbox.salesforce.objects import ACCOUNT, OBJECTS
from sandbox.salesforce.oddities.oneshots import OneShots, behaving
from sandbox.salesforce.org import Behaviour, Org
from sandbox.salesforce.publisher import CHANNEL
from tests.unit.sandbox_salesforce.orgs import StillClock, open_planted

PRODUCTS, ACCOUNTS = "/data/Product2ChangeEvent", "/data/AccountChangeEvent"
LONG = "\n".join(f"Line {number:03d} of a text that is long enough to come as its difference" for number in range(40))


class World(Played):
    """An org with one product and one account, whose events so far are gone."""

    def __init__(self) -> None:
        super().__init__(random.Random(1), 1_790_000_000_400, whole_seconds=True)
        fields = {"Name": "One", "StockKeepingUnit": "S-1", "Description": LONG}
        product = {"op": "create", "object": "Product2", "fields": fields}
        account = {"op": "create", "object": "Account", "fields": {"Name": "A", "BillingCity": "Kobe", "Phone": "1"}}
        self.did("transaction", ("@p", "@a"), operations=[product, account])
        for topic in self.org.bus.topics.values():
            topic.entries.clear()
        self.org.compact()
        self.product, self.account = (self.did_id(name) for name in ("@p", "@a"))

    def did(self, what: str, made: tuple[str, ...] = (), **body: Any) -> None:
        assert self.play(Step(what, body, made))

    def did_id(self, name: str) -> str:
        body = self._names.body(Step("", {"id": name}))
        assert body is not None
        return str(body["id"])

    def transaction(self, *operations: dict[str, Any], behaving: dict[str, Any]) -> None:
        assert self.play(Step("transaction", {"operations": list(operations), "as": behaving}))

    def behave(self, **oddities: Any) -> None:
        self.did("behave", **oddities)

    def update(self, name: str = "@p", **fields: Any) -> None:
        self.did("transaction", operations=[_update(name, **fields)])

    def events(self, topic: str = PRODUCTS) -> list[dict[str, Any]]:
        self.org.settle()
        stored = [e for e in self.org.bus.topics[topic].entries if e.payload]
        return [avro.reader(self.org.publisher.schemas[e.schema_id])(e.payload) for e in stored]

    def headers(self, topic: str = PRODUCTS) -> list[dict[str, Any]]:
        return [event["ChangeEventHeader"] for event in self.events(topic)]

    def seen(self, name: str = "Name", object_name: str = "Product2") -> object:
        """As REST and Bulk read it."""
        record = self.org.store.get(object_name, self.product if object_name == "Product2" else self.account)
        return None if record is None else record.get(name)


def _update(name: str, **fields: Any) -> dict[str, Any]:
    object_name = "Account" if name.startswith("@a") else "Product2"
    return {"op": "update", "object": object_name, "id": name, "fields": fields}


@pytest.fixture
def world() -> World:
    return World()


def test_a_late_read_shows_the_old_values_until_it_is_due(world: World) -> None:
    world.behave(late_reads_ms=[3000, 3000])
    world.update(Name="Two")

    assert (world.seen(), len(world.events())) == ("One", 1)
    world.clock.advance(2_999)
    assert world.seen() == "One"
    world.clock.advance(1)
    assert world.seen() == "Two"
    assert [r["Name"] for r in world.org.store.tables["Product2"].where("StockKeepingUnit", "S-1")] == ["Two"]


def test_late_events_keep_the_order_of_their_commits(world: World) -> None:
    world.behave(late_events_ms=[3000, 3000])
    world.update(Name="Two")
    world.behave(late_events_ms=[0, 0])
    world.update(Name="Three")

    assert (world.events(), world.seen()) == ([], "Three")
    world.clock.advance(3_000)
    assert [event["Name"] for event in world.events()] == ["Two", "Three"]


def test_commit_times_are_early_and_never_run_backward_for_a_record(world: World) -> None:
    world.behave(early_commit_ms=[0, 1000])
    for number in range(30):
        world.update(Name=f"N{number}")
        world.clock.advance(200)
    times = [head["commitTimestamp"] for head in world.headers()]

    assert times == sorted(times)
    assert min(times) < 1_790_000_000_000


def test_another_servers_clock_lets_them_run_backward(world: World) -> None:
    world.behave(clock_skew_ms=[-1000, 1000])
    for number in range(30):
        world.update(Name=f"N{number}")
    times = [head["commitTimestamp"] for head in world.headers()]

    assert times != sorted(times)


def test_an_open_transaction_hides_and_locks_what_it_wrote_and_stamps_it_then(world: World) -> None:
    begun = world.org.clock.now_ms()
    world.play(Step("begin", begun="%t"))
    world.did("operate", transaction="%t", operations=[_update("@p", Name="Later")])
    world.clock.advance(60_000)

    assert (world.seen(), world.events(), world.org.earliest_open_ms()) == ("One", [], begun)
    assert not world.play(Step("transaction", {"operations": [_update("@p", Name="Locked out")]}))
    world.did("commit", transaction="%t")
    assert world.seen() == "Later"
    assert world.seen("SystemModstamp") == begun // 1000 * 1000
    assert world.headers()[0]["commitTimestamp"] == (begun + 60_000) // 1000 * 1000
    assert world.org.earliest_open_ms() == world.org.clock.now_ms()


def test_an_abandoned_transaction_leaves_nothing(world: World) -> None:
    world.play(Step("begin", begun="%t"))
    created = {"op": "create", "object": "Product2", "fields": {"Name": "Never"}}
    world.did("operate", transaction="%t", operations=[_update("@p", Name="Never"), created])
    world.did("abandon", transaction="%t")

    assert (world.seen(), world.events(), len(world.org.store.tables["Product2"].records)) == ("One", [], 1)
    world.update(Name="Two")


def test_the_same_change_of_several_records_is_one_event(world: World) -> None:
    world.behave(merge=True)
    world.did("transaction", ("@p2",), operations=[{"op": "create", "object": "Product2", "fields": {"Name": "Other"}}])
    world.did(
        "transaction", operations=[_update("@p", Family="F"), _update("@p2", Family="F"), _update("@a", Phone="2")]
    )

    merged = world.headers()[-1]
    assert merged["recordIds"] == [world.product, world.did_id("@p2")]
    assert (merged["sequenceNumber"], world.headers(ACCOUNTS)[-1]["sequenceNumber"]) == (1, 2)


def test_a_converted_field_is_told_by_a_wildcard_alone(world: World) -> None:
    stamp = world.seen("SystemModstamp")
    world.clock.advance(5_000)
    world.did("convert", object="Product2", field="StockKeepingUnit")

    (head,) = world.headers()
    assert head["recordIds"] == ["01t*"]
    assert (world.seen("StockKeepingUnit"), world.seen("SystemModstamp")) == (None, stamp)


@pytest.mark.parametrize("oddity", [{"gap_share": 1.0}, {"most_event_bytes": 300}])
def test_a_gap_names_the_record_and_nothing_else(world: World, oddity: dict[str, Any]) -> None:
    world.transaction(_update("@p", Description=LONG + "\nx"), behaving=oddity)

    (event,) = world.events()
    assert event["ChangeEventHeader"]["changeType"] == "GAP_UPDATE"
    assert {value for name, value in event.items() if name != "ChangeEventHeader"} == {None}
    assert event["ChangeEventHeader"]["changedFields"] == []


def test_what_lies_beyond_the_limit_of_a_transaction_is_an_overflow(world: World) -> None:
    operations = [_update("@p", Name="Two"), _update("@a", Phone="2"), _update("@a", Name="B")]
    world.transaction(*operations, behaving={"most_changes": 2})

    assert [head["changeType"] for head in world.headers()] == ["UPDATE"]
    (overflow,) = world.headers(ACCOUNTS)
    assert (overflow["changeType"], overflow["recordIds"]) == ("GAP_OVERFLOW", ["000000000000000AAA"])
    assert world.seen("Name", "Account") == "B"


def test_a_long_text_comes_as_its_difference_where_that_is_smaller(world: World) -> None:
    world.behave(diffs=True)
    new = LONG.replace("Line 007", "Line seven")
    world.update(Description=new)
    world.update(Description="short")

    first, second = world.events()
    assert first["Description"].startswith(f"--- \n+++ {hashlib.sha256(new.encode()).hexdigest()}\n@@ ")
    assert len(first["ChangeEventHeader"]["diffFields"]) == 1
    assert (second["Description"], second["ChangeEventHeader"]["diffFields"]) == ("short", [])


def test_a_change_of_parts_alone_has_a_lone_compound_bitmap(world: World) -> None:
    world.behave(lone_compounds=True)
    world.update("@a", BillingCity="Osaka")
    world.update("@a", BillingCity="Nara", Phone="3")

    lone, mixed = (head["changedFields"] for head in world.headers(ACCOUNTS))
    assert [element.partition("-")[1] for element in lone] == ["-"]
    assert [element.partition("-")[1] for element in mixed] == ["", "-"]


def test_a_new_field_gives_later_events_another_schema_with_other_places(world: World) -> None:
    world.update(Item_Class__c="SIM")
    before = world.org.bus.topics[PRODUCTS].schema_id
    world.did("add-field", object="Product2", name="Colour__c")
    world.update(Item_Class__c="VPN")

    old, new = (e for e in world.org.bus.topics[PRODUCTS].entries if e.payload)
    assert (old.schema_id, new.schema_id) == (before, world.org.bus.topics[PRODUCTS].schema_id)
    assert old.schema_id != new.schema_id
    bits = [head["changedFields"] for head in world.headers()]
    assert bits[0] != bits[1]
    assert "Colour__c" in world.org.objects["Product2"].by_name
    assert "Colour__c" not in OBJECTS["Product2"].by_name  # another org of this process has none


def test_the_channel_of_all_entities_has_no_schema_of_its_own(world: World) -> None:
    world.behave(multi_entity=True)
    world.update(Name="Two")
    world.update("@a", Name="B")

    assert world.org.bus.topics[CHANNEL].schema_id == ""
    assert [head["entityName"] for head in world.headers(CHANNEL)] == ["Product2", "Account"]


def test_events_are_lost_and_stored_twice(world: World) -> None:
    world.did("lose", count=1)
    world.update(Name="Two")
    world.update(Name="Three")
    world.did("duplicate", topic=PRODUCTS, count=1)
    world.behave(duplicate_share=1.0)
    world.update(Name="Four")

    assert [event["Name"] for event in world.events()] == ["Three", "Three", "Four", "Four"]


def test_stamps_move_without_events_and_values_without_stamps(world: World) -> None:
    world.clock.advance(10_000)
    world.did("derive", object="Product2", ids=["@p"], fields={"Family": "Derived"})
    assert (world.seen("Family"), world.seen("SystemModstamp")) == ("Derived", 1_790_000_000_000)
    world.did("touch", object="Product2", ids=["@p"])

    assert world.seen("SystemModstamp") == 1_790_000_010_000
    assert world.events() == []


def test_a_hard_deleted_record_is_gone_from_every_read_without_event(world: World) -> None:
    world.did("hard-delete", object="Product2", ids=["@p"])

    assert (world.org.store.get("Product2", world.product), world.events()) == (None, [])


def test_commit_numbers_jump_and_restart(world: World) -> None:
    world.update(Name="Two")
    world.did("jump", by=-(10**12))
    world.update(Name="Three")
    world.did("migrate")
    world.update(Name="Four")
    world.org.settle()
    numbers = [head["commitNumber"] for head in world.headers()]

    assert numbers[-1] < 10**12


@pytest.mark.parametrize("what", ["forget", "migrate"])
def test_positions_from_before_a_cut_are_known_no_more(world: World, what: str) -> None:
    world.update(Name="Two")
    topic = world.org.bus.topics[PRODUCTS]
    stored = world.org.replay.encode(topic.tip())
    world.did(what)
    world.update(Name="Three")

    number = world.org.replay.decode(stored)
    assert number is not None
    assert not topic.knows(number)
    assert [event["Name"] for event in world.events()] == ["Three"]


def test_opaque_replay_ids_are_read_back_and_show_no_order(world: World) -> None:
    world.behave(opaque_replay_ids=True)
    numbers = list(range(487_000, 487_400))
    encoded = [world.org.replay.encode(number) for number in numbers]

    assert [world.org.replay.decode(each) for each in encoded] == numbers
    assert sorted(encoded) != encoded
    assert world.org.replay.decode(b"\x80" + b"x" * 16) is None


def test_an_undelete_may_come_empty(world: World) -> None:
    world.behave(empty_undeletes=True)
    for op in ("delete", "undelete"):
        world.did("transaction", operations=[{"op": op, "object": "Product2", "id": "@p"}])

    assert [event["Name"] for event in world.events()] == [None, None]
    assert world.seen("IsDeleted") is False


def test_the_clock_can_be_offset_and_sped_up() -> None:
    wall = [1_000_000]
    clock = Clock(0, lambda: wall[0])
    clock.offset_ms = 500
    wall[0] += 10
    clock.set_speed(60)
    wall[0] += 1_000
    assert clock.now_ms() == 1_000_000 + 500 + 10 + 60_000
    clock.set_speed(0.5)
    wall[0] -= 5_000  # a machine's clock that is set back does not reach the org
    assert clock.now_ms() == 1_000_000 + 500 + 10 + 60_000
    with pytest.raises(ValueError, match="speed"):
        clock.set_speed(0)


def test_behaviour_is_refused_as_a_whole_where_it_makes_no_sense(world: World) -> None:
    for wrong in ({"lose_share": 2}, {"late_reads_ms": [5, 1]}, {"unheard_of": 1}):
        assert not world.play(Step("behave", wrong))
    assert world.org.oddities == Org("00D", "005", world.clock, world.journal, Behaviour()).oddities


def test_a_restart_keeps_behaviour_fields_cuts_and_what_is_gone(tmp_path: Path) -> None:
    clock = StillClock()
    org, journal = open_planted(tmp_path / "org", clock, objects=dict(OBJECTS))
    shots, gone = OneShots(), next(iter(org.store.tables["Account"].records))
    org.behave(behaving(org, {"merge": True, "multi_entity": True, "opaque_replay_ids": True}))
    shots.call("add-field", org, {"object": "Account", "name": "Colour__c"})
    shots.call("hard-delete", org, {"object": "Account", "ids": [gone]})
    old = org.bus.topics[ACCOUNTS].tip()
    shots.call("forget", org, {})
    with org.transaction() as tx:
        tx.update(ACCOUNT, next(iter(org.store.tables["Account"].records)), {"Credit_Status__c": "Hold"})
    journal.close()

    for _ in range(2):  # once from the appended lines, once from the compacted ones
        again, journal = open_planted(tmp_path / "org", clock, objects=dict(OBJECTS))
        journal.close()
        assert again.oddities == org.oddities
        assert again.replay.opaque
        assert "Colour__c" in again.objects["Account"].by_name
        assert gone not in again.store.tables["Account"].records
        assert not again.bus.topics[ACCOUNTS].knows(old)
        assert again.bus.topics[CHANNEL].entries == org.bus.topics[CHANNEL].entries
