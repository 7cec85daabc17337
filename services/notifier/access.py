"""Whose an order is, and what a caller is told who may not see it. Pure.

Unknown and foreign look the same. A client that gets a 404 never comes back, so it takes proof: the order's row
says otherwise or there is none, and row and memory together cover the whole log as it was when the client came.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

MOST_OWNERS = 100_000
"""About 25 MB."""


class Answer(Enum):
    ALLOWED = "allowed"
    HIDDEN = "hidden"
    UNDECIDED = "undecided"


class Owners:
    """Accounts of orders as events and rows have named them, the most recently used ones."""

    def __init__(self, most: int = MOST_OWNERS) -> None:
        self._most = most
        self._owners: OrderedDict[str, str] = OrderedDict()

    def learn(self, order_id: str, account_id: str) -> None:
        self._owners[order_id] = account_id
        self._owners.move_to_end(order_id)
        if len(self._owners) > self._most:
            self._owners.popitem(last=False)

    def get(self, order_id: str) -> str | None:
        return self._owners.get(order_id)

    def clear(self) -> None:
        self._owners.clear()


def decide(
    account_id: str, owner: str | None, *, row_exists: bool, applied: int, base: int, position: int, end: int
) -> Answer:
    """May this account see the order?

    owner: as an event or the row names it
    row_exists: Postgres has the order, though perhaps without an account
    applied: offset below which Postgres holds the log; base, position: the part this instance holds
    end: high watermark asked after the client came, uncommitted records included
    """
    if owner == account_id:
        return Answer.ALLOWED
    covered = applied >= base and position >= end
    if not covered or (owner is None and row_exists):
        return Answer.UNDECIDED
    return Answer.HIDDEN
