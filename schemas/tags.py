"""Cache tags: the names under which answers are kept and told void.

An entry carries the tags of all that its query depends on, its family's `:all` included, so that voiding a
whole family is one tag. The projector tells the tags of the old row and of the new one.
"""

from __future__ import annotations

from collections.abc import Iterable

CATALOG_ALL = "catalog:all"
ELIGIBILITY_ALL = "eligibility:all"
ORDER_ALL = "order:all"


def sku(sku: str) -> str:
    return f"catalog:sku:{sku}"


def catalog_list(item_class: str | None) -> str:
    """Tag of a list of one class of products; "*" stands for the list of all."""
    return f"catalog:list:{item_class or '-'}"


CATALOG_LIST_ALL = "catalog:list:*"


def eligibility(account_id: str) -> str:
    return f"eligibility:{account_id}"


def order(order_id: str) -> str:
    return f"order:{order_id}"


def orders_of(account_id: str) -> str:
    """Tag of the list of one account's orders."""
    return f"order:list:{account_id}"


def of_product(sku_value: str, item_class: str | None) -> set[str]:
    """What a product's row, shown or price changed, touches."""
    return {sku(sku_value), catalog_list(item_class), CATALOG_LIST_ALL}


def of_order(order_id: str, account_id: str | None) -> set[str]:
    touched = {order(order_id)}
    return touched | {orders_of(account_id)} if account_id else touched


def family(tag: str) -> str:
    """The `:all` tag of a tag's family."""
    return tag.split(":", 1)[0] + ":all"


def with_families(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in a fixed order, each family's `:all` added: what an entry is kept under."""
    plain = set(tags)
    return tuple(sorted(plain | {family(tag) for tag in plain}))
