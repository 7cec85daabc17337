"""The board takes a fault as often as it says, and the README's tables are the faults there are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.faults import bulk, catalog, pubsub, rest
from sandbox.salesforce.faults.board import Board
from sandbox.salesforce.faults.fault import Fault
from sandbox.salesforce.pubsub.faults import of_code
from sandbox.salesforce.rest.faulty import REFUSALS

_README = Path(str(catalog.__file__)).parents[1] / "README.md"


@pytest.mark.parametrize("surface", catalog.SURFACES)
def test_the_readme_holds_the_table_of_each_surface(surface: str) -> None:
    assert catalog.table(catalog.SURFACES[surface]) in _README.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", catalog.KINDS, ids=catalog.tag)
def test_the_json_of_the_table_arms_that_fault(kind: type[Fault]) -> None:
    assert catalog.read(catalog.example(kind).encode()) == [kind()]


def test_every_refusal_and_every_code_has_its_answer() -> None:
    assert set(catalog.options(rest.Refuse)["reason"]) == set(REFUSALS)
    assert all(of_code(code).message for code in catalog.options(pubsub.Error)["code"])  # type: ignore[arg-type]


def test_a_fault_skips_strikes_so_often_and_is_used_up() -> None:
    board = Board()
    armed = board.arm(rest.Page(match="GET /q*", skip=1, count=2))
    struck = [board.take(rest.Page, "GET /query") is not None for _ in range(5)]

    assert struck == [False, True, True, False, False]
    assert board.take(rest.Page, "GET /limits") is None
    assert (armed.hits, armed.left) == (2, 0)


def test_the_oldest_fault_that_concerns_it_strikes() -> None:
    board = Board()
    board.arm(bulk.PageRows(rows=1, match="Account"))
    board.arm(bulk.PageRows(rows=2))
    board.arm(bulk.PageRows(rows=3))

    assert [board.take(bulk.PageRows, name) for name in ("Product2", "Account")] == [
        bulk.PageRows(rows=2),
        bulk.PageRows(rows=1, match="Account"),
    ]


def test_chance_is_drawn_from_the_seed() -> None:
    def run(seed: int) -> list[bool]:
        board = Board()
        board.arm(rest.Drop(probability=0.3, seed=seed))
        return [board.take(rest.Drop, "GET /") is not None for _ in range(200)]

    assert run(1) == run(1) != run(2)
    assert 30 < sum(run(1)) < 90


def test_a_fault_taken_off_is_gone_and_wakes_who_watches() -> None:
    async def scenario() -> bool:
        board, waiter = Board(), asyncio.Event()
        armed = board.arm(rest.Hang())
        board.watch(waiter)
        board.disarm(armed.id)
        await asyncio.wait_for(board.until_off(armed), 1)
        return waiter.is_set() and board.take(rest.Hang, "GET /") is None

    assert asyncio.run(scenario())


def test_a_list_of_faults_is_read_whole_or_not_at_all() -> None:
    assert len(catalog.read(b'[{"fault":"bulk.abort"},{"fault":"pubsub.end"}]')) == 2
    with pytest.raises(Refused, match="INVALID_INPUT"):
        catalog.read(b'[{"fault":"bulk.abort"},{"fault":"bulk.abort","rows":1}]')
