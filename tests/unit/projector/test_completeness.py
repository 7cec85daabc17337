"""What a record topic needs is there for each of them: a lock, a row, columns that the mapping may fill."""

from __future__ import annotations

from dataclasses import fields

import pytest

from schemas import mapping, topics
from schemas.join import State
from schemas.versions import event_version
from services.projector import locks, project, rows
from services.projector.batch import Key

ROWS = {"Product2": rows.Product, "PricebookEntry": rows.Entry, "Account": rows.Eligibility, "Order": rows.Order}
_OF_ALL = {"updated_at", "raw_payload", "active", "status", "status_reason", "status_version"}


def test_every_topic_that_writes_rows_has_its_lock() -> None:
    writing = {topic.name for topic in (*topics.RECORD_TOPICS.values(), topics.ORDER_STATUS)}

    assert set(locks.GROUPS) == writing


@pytest.mark.parametrize("name", topics.RECORD_TOPICS)
def test_every_object_is_projected(name: str) -> None:
    version = event_version(1_700_000_000_000, 1, 1)
    alive = State(payload={"IsDeleted": False}, newer={"IsDeleted": version})

    made = project.shadow(mapping.load(), {Key(name, "001000000000001AAA"): alive}, {})

    shown = (*made.products, *made.entries, *made.accounts, *made.orders, *made.hidden)
    assert len(shown) == 1


@pytest.mark.parametrize(("name", "row"), ROWS.items())
def test_a_row_has_the_columns_that_a_mapping_may_fill(name: str, row: type) -> None:
    columns = [each.name for each in fields(row)][1:]

    assert {column for column in columns if column not in _OF_ALL} == mapping.COLUMNS[name]
