"""Which price book is sold from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas import ids
from services.ops.checks.findings import Finding, fail, ok, warn
from services.ops.checks.shape import ASSIGN
from services.salesforce.errors import SalesforceError

CHECK = "salesforce.pricebook"


def examine(books: Sequence[Mapping[str, Any]] | SalesforceError, wanted: str) -> Finding:
    """books: the active ones, with Id and Name; wanted: UMBRA_PRICEBOOK, an id or a name or nothing"""
    if isinstance(books, SalesforceError):
        return fail(CHECK, f"price books cannot be read: {books}", ASSIGN)
    names = ", ".join(sorted(str(book["Name"]) for book in books))
    if not books:
        return fail(CHECK, "there is no active price book", "create and activate one: App Launcher, Price Books")
    if not wanted:
        return _any(len(books), names)
    fitting = [book for book in books if wanted == book["Name"] or _same_id(wanted, str(book["Id"]))]
    if len(fitting) != 1:
        return fail(
            CHECK,
            f"UMBRA_PRICEBOOK is {wanted!r}, which {len(fitting) or 'none'} of the active books is ({names})",
            "set it to the 18-character id of the book that the portal sells from",
        )
    return ok(CHECK, f"sold from: {fitting[0]['Name']}")


def _any(count: int, names: str) -> Finding:
    if count == 1:
        return ok(CHECK, f"one active book: {names}")
    return warn(
        CHECK,
        f"{count} books are active ({names}): a product priced in two of them cannot be ordered",
        "set UMBRA_PRICEBOOK to the id or name of the one that the portal sells from",
    )


def _same_id(text: str, book_id: str) -> bool:
    try:
        return ids.parse(text) == book_id
    except ValueError:
        return False
