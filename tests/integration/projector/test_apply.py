"""Applying a batch on a real Postgres: rows, tags, offsets and coverage in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas import topics, versions
from schemas.events import Watermark
from services.kernel.clock import SYSTEM
from services.kernel.errors import Fatal
from services.projector.apply import GUARD_EXIT
from services.projector.batch import Decoded, Key
from services.projector.dead_letters import DeadLetters
from services.projector.link import Link
from services.projector.log import Hole, LogRecord, Place
from services.projector.project import shadow
from services.projector.rows import Hidden
from tests.integration.projector import harness
from tests.integration.projector.harness import MAPPING, T0, Bench, Log, change, entry, product, sf_id, snapshot
from tests.integration.projector.harness import status as status_of

PRODUCT, ENTRY, ORDER = "Product2", "PricebookEntry", "Order"


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(postgres_dsn) as made:
        yield made


def hidden(name: str, number: int, reason: str, detail: str | None = None) -> dict[Key, Hidden]:
    return {Key(name, sf_id(name, number)): Hidden(reason, detail)}


async def assert_is_pure(bench: Bench) -> None:
    """The tables are what the state says, whatever happened before."""
    assert await bench.shadow() == shadow(MAPPING, await bench.states(), await bench.statuses())


# Products and prices


async def test_a_product_and_its_price_become_rows_in_either_order(bench: Bench) -> None:
    log = Log()

    await bench.apply(log.append(entry(1, of=1, price="19.99")))
    alone = await bench.shadow()
    await bench.apply(log.append(product(1, "INT-1")))

    made = await bench.shadow()
    assert alone.hidden == hidden(ENTRY, 1, "product_hidden", sf_id(PRODUCT, 1))
    assert made.products[sf_id(PRODUCT, 1)].sku == "INT-1"
    assert made.entries[sf_id(ENTRY, 1)].unit_price == Decimal("19.99")
    assert not made.hidden


async def test_an_update_changes_the_row_and_tells_old_and_new_tags(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "INT-1", Item_Class__c="Internet")))
    await bench.clear_outbox()

    await bench.apply(log.append(change("update", PRODUCT, 1, 60_000, StockKeepingUnit="INT-2", Item_Class__c="SIM")))

    assert await bench.tags() == {
        "catalog:sku:INT-1",
        "catalog:sku:INT-2",
        "catalog:list:Internet",
        "catalog:list:SIM",
        "catalog:list:*",
    }


async def test_a_price_change_tells_the_tags_of_its_product(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "INT-1", Item_Class__c="Internet"), entry(1, of=1)))
    await bench.clear_outbox()

    await bench.apply(log.append(change("update", ENTRY, 1, 60_000, UnitPrice="5480")))

    assert await bench.tags() == {"catalog:sku:INT-1", "catalog:list:Internet", "catalog:list:*"}


async def test_a_price_that_moves_to_another_product_tells_both(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "A"), product(2, "B"), entry(1, of=1)))
    await bench.clear_outbox()

    await bench.apply(log.append(change("update", ENTRY, 1, 60_000, Product2Id=sf_id(PRODUCT, 2))))

    assert {"catalog:sku:A", "catalog:sku:B"} <= await bench.tags()


async def test_of_two_products_that_want_one_sku_the_active_one_wins_then_the_smaller_id(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X", IsActive=False), product(2, "X"), product(3, "X")))

    made = await bench.shadow()

    assert set(made.products) == {sf_id(PRODUCT, 2)}
    assert made.hidden == {
        **hidden(PRODUCT, 1, "sku_taken", sf_id(PRODUCT, 2)),
        **hidden(PRODUCT, 3, "sku_taken", sf_id(PRODUCT, 2)),
    }


async def test_a_winner_that_goes_makes_room_with_its_entries_and_comes_back_with_them(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X"), product(2, "X"), entry(1, of=1), entry(2, of=2)))

    await bench.apply(log.append(change("delete", PRODUCT, 1, 60_000)))
    without = await bench.shadow()
    await bench.apply(log.append(change("undelete", PRODUCT, 1, 90_000, StockKeepingUnit="X")))
    again = await bench.shadow()

    assert (set(without.products), set(without.entries)) == ({sf_id(PRODUCT, 2)}, {sf_id(ENTRY, 2)})
    assert (set(again.products), set(again.entries)) == ({sf_id(PRODUCT, 1)}, {sf_id(ENTRY, 1)})
    await assert_is_pure(bench)


async def test_two_products_swap_their_skus_in_one_batch_and_in_two(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X"), product(2, "Y"), entry(1, of=1), entry(2, of=2)))
    there = log.append(
        change("update", PRODUCT, 1, 60_000, StockKeepingUnit="Y"),
        change("update", PRODUCT, 2, 61_000, StockKeepingUnit="X"),
    )
    back = log.append(
        change("update", PRODUCT, 1, 90_000, StockKeepingUnit="X"),
        change("update", PRODUCT, 2, 91_000, StockKeepingUnit="Y"),
    )

    await bench.apply(there)
    swapped = await bench.shadow()
    await bench.apply(back[:1])
    await assert_is_pure(bench)
    await bench.apply(back[1:])

    assert {row.product_id: row.sku for row in swapped.products.values()} == {
        sf_id(PRODUCT, 1): "Y",
        sf_id(PRODUCT, 2): "X",
    }
    assert len((await bench.shadow()).entries) == 2
    await assert_is_pure(bench)


async def test_a_price_that_does_not_fit_is_kept_and_not_shown(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X"), entry(1, of=1, price="0.125"), entry(2, of=1, price="10000000000")))

    made = await bench.shadow()

    assert not made.entries
    assert made.hidden == {**hidden(ENTRY, 1, "price_out_of_range"), **hidden(ENTRY, 2, "price_out_of_range")}


async def test_a_sparse_first_sight_is_kept_and_named(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(change("update", PRODUCT, 1, 60_000, Name="New name")))

    before = await bench.shadow()
    await bench.apply(log.append(product(1, "X", at=50_000)))
    after = await bench.shadow()

    assert before.hidden == hidden(PRODUCT, 1, "incomplete", "StockKeepingUnit")
    assert after.products[sf_id(PRODUCT, 1)].name == "New name"


async def test_a_deleted_product_leaves_no_row_and_no_reason(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X"), entry(1, of=1)))

    await bench.apply(log.append(change("delete", PRODUCT, 1, 60_000), change("delete", ENTRY, 1, 60_000)))

    made = await bench.shadow()
    assert (made.products, made.entries, made.hidden) == ({}, {}, {})


async def test_the_rows_are_as_old_as_their_newest_version(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X", at=100_000), change("update", PRODUCT, 1, 90_000, Name="N")))

    row = (await bench.shadow()).products[sf_id(PRODUCT, 1)]

    assert row.updated_at == versions.moment(T0 + 90_000)


async def test_a_hidden_record_keeps_the_time_since_when_it_is(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(change("update", PRODUCT, 1, 60_000, Name="N")))
    query = "SELECT since FROM sf_hidden"
    since = await bench.connection.fetchval(query)

    await bench.apply(log.append(change("update", PRODUCT, 1, 61_000, Name="M")))

    assert await bench.connection.fetchval(query) == since


# Repetition and the fence


async def test_what_was_applied_is_dropped_and_moves_nothing(bench: Bench) -> None:
    log = Log()
    records = log.append(product(1, "X"), entry(1, of=1))
    await bench.apply(records)
    before = await bench.connection.fetchval("SELECT sum(xmin::text::bigint) FROM sf_record")

    done = await bench.apply(records)

    assert (done.skipped, done.fresh, done.tagged) == (2, [], frozenset())
    assert await bench.connection.fetchval("SELECT sum(xmin::text::bigint) FROM sf_record") == before


async def test_old_news_written_again_into_the_log_changes_no_row(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X"), entry(1, of=1)))
    await bench.clear_outbox()

    done = await bench.apply(log.append(product(1, "X"), entry(1, of=1)))

    assert (len(done.fresh), done.moved) == (2, 0)
    assert await bench.tags() == set()


async def test_offsets_step_over_what_kafka_skipped(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "X"), skip=3))

    record = log.append(product(1, "Y", at=60_000), skip=2)[0]
    done = await bench.apply([record])

    assert done.next_offsets[record.place] == 7


async def test_a_lost_record_stops_the_batch_before_anything_is_written(bench: Bench) -> None:
    log = Log()
    _, second = log.append(product(1, "X"), product(1, "Y", at=60_000))

    with pytest.raises(Hole):
        await bench.apply([second])

    assert await bench.states() == {}


async def test_a_topic_with_another_epoch_is_refused(bench: Bench) -> None:
    await bench.connection.execute("UPDATE topic_epoch SET epoch = 'other' WHERE object = 'Product2'")

    with pytest.raises(Fatal) as caught:
        await bench.apply(Log().append(product(1, "X")))

    assert caught.value.exit_code == GUARD_EXIT


async def test_the_last_applied_record_is_remembered(bench: Bench) -> None:
    record = Log().append(product(1, "X"))[0]

    await bench.apply([record])

    row = await bench.connection.fetchrow(
        "SELECT next_offset, last_offset, last_timestamp_ms, last_key_hash > 0 FROM projection_offset "
        "WHERE topic = $1 AND partition = $2",
        *record.place,
    )
    assert tuple(row) == (1, 0, T0, True)


async def test_a_repair_rewrites_equal_versions(bench: Bench) -> None:
    from services.projector.apply import write
    from services.projector.batch import decode_all, fold

    records = Log().append(product(1, "X"))
    await bench.apply(records)
    await bench.connection.execute("""UPDATE sf_record SET payload = payload || '{"Name": "wrong"}'""")

    async with bench.connection.transaction():
        await write(bench.link, MAPPING, fold(decode_all(records, MAPPING)), repair=True)

    assert (await bench.shadow()).products[sf_id(PRODUCT, 1)].name == "Product 1"


# Accounts and orders


async def test_an_account_becomes_a_row_and_its_tag_is_told(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(snapshot("Account", 1, Internet_Eligibility__c="Eligible")))

    row = (await bench.shadow()).accounts[sf_id("Account", 1)]

    assert row.internet_eligibility == "Eligible"
    assert await bench.tags() == {f"eligibility:{sf_id('Account', 1)}"}


def order_record(number: int = 1, **fields: Any) -> Any:
    known = {"AccountId": sf_id("Account", 1), "Status": "Draft", "OrderNumber": "0001", "TotalAmount": "4980"}
    return snapshot(ORDER, number, **{**known, **fields})


async def test_an_order_without_a_status_in_the_log_shows_salesforces_own_under_the_lowest_version(
    bench: Bench,
) -> None:
    await bench.apply(Log().append(order_record()))

    row = (await bench.shadow()).orders[sf_id(ORDER, 1)]

    assert (row.status, row.status_version) == ("Draft", versions.LOWEST_STATUS)


@pytest.mark.parametrize("status_first", [True, False])
async def test_the_status_and_the_record_of_an_order_meet_in_either_order(bench: Bench, status_first: bool) -> None:
    log, said = Log(), [status_of(1, "Activating", 60_000), order_record(Status="Draft")]

    for event in said if status_first else said[::-1]:
        await bench.apply(log.append(event))

    row = (await bench.shadow()).orders[sf_id(ORDER, 1)]
    assert (row.status, row.account_id) == ("Activating", sf_id("Account", 1))
    assert row.updated_at == versions.moment(T0 + 60_000)
    await assert_is_pure(bench)


async def test_the_status_on_the_record_never_overrules_the_log(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(order_record(), status_of(1, "Activating", 60_000)))

    await bench.apply(log.append(change("update", ORDER, 1, 90_000, Status="Failed")))

    assert (await bench.shadow()).orders[sf_id(ORDER, 1)].status == "Activating"


async def test_the_greatest_version_wins_and_an_unchanged_status_keeps_its_reason(bench: Bench) -> None:
    log = Log()
    late = status_of(1, "Activating", 60_000, reason="ADDRESS_CHECK")
    await bench.apply(log.append(order_record(), status_of(1, "Draft", 1_000), status_of(1, "Activating", 61_000)))

    await bench.apply(log.append(late))

    row = (await bench.shadow()).orders[sf_id(ORDER, 1)]
    assert (row.status, row.status_reason) == ("Activating", "ADDRESS_CHECK")
    assert versions.at_ms(row.status_version) == T0 + 61_000
    known = await bench.connection.fetchrow("SELECT reason, message FROM sf_order_status")
    assert tuple(known) == ("ADDRESS_CHECK", "We are checking your address.")


async def test_an_orders_change_tells_the_order_and_its_owners_list(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(order_record()))
    await bench.clear_outbox()

    await bench.apply(log.append(status_of(1, "Activating", 60_000)))

    assert await bench.tags() == {f"order:{sf_id(ORDER, 1)}", f"order:list:{sf_id('Account', 1)}"}


async def test_a_status_of_an_order_that_is_not_here_yet_is_told_to_its_owner(bench: Bench) -> None:
    await bench.apply(Log().append(status_of(1, "Draft", account_id=sf_id("Account", 7))))

    assert f"order:list:{sf_id('Account', 7)}" in await bench.tags()
    assert (await bench.shadow()).orders == {}


async def test_two_workers_that_hold_an_orders_record_and_its_status_leave_one_right_row(
    bench: Bench, postgres_dsn: str
) -> None:
    log = Log()
    async with harness.opened(postgres_dsn) as other:
        for number in range(20):
            record, status = log.append(order_record(number)), log.append(status_of(number, "Activating", 60_000))
            await asyncio.gather(bench.apply(record), other.apply(status))

    rows = (await bench.shadow()).orders
    assert {row.status for row in rows.values()} == {"Activating"}
    assert len(rows) == 20


async def test_two_workers_that_hold_a_product_and_its_entry_leave_both_shown(bench: Bench, postgres_dsn: str) -> None:
    log = Log()
    async with harness.opened(postgres_dsn) as other:
        for number in range(20):
            one, two = log.append(product(number, f"S{number}")), log.append(entry(number, of=number))
            await asyncio.gather(bench.apply(one), other.apply(two))

    made = await bench.shadow()
    assert (len(made.products), len(made.entries), made.hidden) == (20, 20, {})


# Records that cannot be used


def letters(limit: int, sent: list[Any]) -> DeadLetters:
    async def send(message: Any) -> None:
        sent.append(message)

    return DeadLetters(send, limit=limit, clock=SYSTEM)


def poison(log: Log, partition: int = 0) -> LogRecord:
    return log.write(Place(topics.PRODUCT.name, partition), b"k", b"not json")


async def test_a_record_that_does_not_decode_is_set_aside_and_the_rest_applied(bench: Bench) -> None:
    log, sent = Log(), list[Any]()
    records = [*log.append(product(1, "X")), poison(log), *log.append(product(2, "Y"))]

    done = await bench.apply(records, outlet=letters(5, sent).take)

    assert len((await bench.shadow()).products) == 2
    assert len(sent) == 1
    assert b"not json" not in sent[0].value
    row = await bench.connection.fetchrow('SELECT topic, partition, "offset", stage FROM dead_letter')
    assert tuple(row) == (topics.PRODUCT.name, 0, records[1].offset, "decode")
    assert done.next_offsets[records[1].place] == records[1].offset + 1


async def test_past_the_limit_the_worker_stops_and_passes_nothing_over(bench: Bench) -> None:
    log, sent = Log(), list[Any]()
    outlet = letters(2, sent).take
    for _ in range(2):
        await bench.apply([poison(log)], outlet=outlet)

    with pytest.raises(Fatal, match="the limit is 2"):
        await bench.apply([poison(log)], outlet=letters(2, sent).take)

    assert len(sent) == 2
    next_offset = await bench.connection.fetchval("SELECT max(next_offset) FROM projection_offset")
    assert next_offset == 2


async def test_a_letter_that_cannot_be_sent_holds_the_batch(bench: Bench) -> None:
    async def refuse(link: Link, rejected: Sequence[Decoded]) -> None:
        raise OSError("Kafka is away")

    log = Log()
    with pytest.raises(OSError, match="away"):
        await bench.apply([poison(log)], outlet=refuse)

    assert await bench.connection.fetchval("SELECT max(next_offset) FROM projection_offset") == 0


# Coverage


def mark(minutes: int | None, basis: Any = "stream", **more: Any) -> Watermark:
    until = None if minutes is None else harness.NOW + timedelta(minutes=minutes)
    return Watermark(object=PRODUCT, basis=basis, origin="cdc", covered_until=until, **more)


async def freshness(bench: Bench) -> Any:
    return await bench.connection.fetchrow(
        "SELECT observed_until, proven_until, open_holes FROM object_freshness WHERE object = 'Product2'"
    )


async def test_observed_coverage_begins_with_a_full_read_and_never_goes_back(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(mark(10)))
    before = await freshness(bench)

    await bench.apply(log.append(mark(5, "full", job_id="j", phase="end"), mark(20), mark(15)))

    assert before["observed_until"] is None
    row = await freshness(bench)
    assert row["observed_until"] == harness.NOW + timedelta(minutes=20)
    assert row["proven_until"] == harness.NOW + timedelta(minutes=5)


async def test_a_partition_without_a_watermark_keeps_the_object_uncovered(bench: Bench) -> None:
    records = Log().append(mark(5, "full"))

    await bench.apply(records[:3])

    assert (await freshness(bench))["observed_until"] is None


@pytest.mark.parametrize("closed_first", [True, False])
async def test_a_hole_is_closed_for_good_in_any_order_of_arrival(bench: Bench, closed_first: bool) -> None:
    log = Log()
    opens = mark(None, "hole", hole_id="h1", hole_from=harness.NOW, hole_to=harness.NOW + timedelta(minutes=1))
    closes = mark(30, "full", closes=("h1",), job_id="j")

    for event in (closes, opens, opens) if closed_first else (opens, closes, opens):
        await bench.apply(log.append(event))

    assert (await freshness(bench))["open_holes"] == 0


async def test_an_open_hole_ends_observed_coverage(bench: Bench) -> None:
    log = Log()
    opens = mark(None, "hole", hole_id="h1", hole_from=harness.NOW, hole_to=harness.NOW + timedelta(minutes=1))

    await bench.apply(log.append(mark(5, "full"), mark(20), opens))

    row = await freshness(bench)
    assert (row["observed_until"], row["open_holes"]) == (harness.NOW, 1)
