"""Advisory locks of the projection, always in the order of `schemas.topics`, always before any read or write.

Products and entries are one thing to lock (a product decides over its entries' rows), and so are orders and
their statuses (two topics, one row): two writers that each read what the other has not committed yet would
both leave the row wrong. Accounts are shared among workers, each of which owns its partitions; a second
kind of writer (replay, a new projection) takes them alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas import topics
from services.projector.link import Link

_SPACE = 0x756D62
"""Keeps these locks apart from anybody else's."""

GROUPS = {
    topics.PRODUCT.name: topics.PRODUCT.name,
    topics.PRICEBOOK_ENTRY.name: topics.PRODUCT.name,
    topics.ACCOUNT.name: topics.ACCOUNT.name,
    topics.ORDER.name: topics.ORDER.name,
    topics.ORDER_STATUS.name: topics.ORDER.name,
}
_ALONE = {topics.PRODUCT.name, topics.ORDER.name}
_RANK = {topic.name: rank for rank, topic in enumerate(topics.ALL)}


async def take(link: Link, of: Iterable[str], *, alone: bool = False) -> None:
    """Lock what the topics in `of` write, until the transaction ends."""
    groups = sorted({GROUPS[topic] for topic in of}, key=_RANK.__getitem__)
    await link.rows(
        "locks_take", [_RANK[group] for group in groups], [alone or group in _ALONE for group in groups], _SPACE
    )
