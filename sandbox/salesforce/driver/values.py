"""Field values of a history, by object: what is created and what is changed."""

import random
from collections.abc import Callable
from typing import Any, TypeAlias

Values: TypeAlias = Callable[[random.Random, int], Any]


def _text(prefix: str) -> Values:
    return lambda rng, n: rng.choice((f"{prefix} {n}", f"{prefix} {n} Ü株", None))


def _named(prefix: str) -> Values:
    return lambda rng, n: f"{prefix} {n}"


def _long(rng: random.Random, n: int) -> str:
    """A text of 40 lines in which one differs with `n`: in an org that sends differences, it comes as one."""
    lines = [f"Line {i:02d} of a description that is long enough to be sent as its difference." for i in range(24)]
    lines[n % len(lines)] = f"Line changed at step {n}."
    return "\n".join(lines) if rng.random() < 0.8 else f"Short {n}"


def _choice(*values: Any) -> Values:
    return lambda rng, n: rng.choice(values)


def _price(rng: random.Random, n: int) -> float:
    return rng.choice((float(n), n + 0.99, n / 3, 0.0, 1e17 + n))


FIELDS: dict[str, dict[str, Values]] = {
    "Product2": {
        "Name": _named("Product"),
        "StockKeepingUnit": _text("SKU"),
        "IsActive": _choice(True, False),
        "Description": _long,
        "Item_Class__c": _choice("SIM", "VPN", None),
        "DisplayUrl": _text("https://example.com"),
    },
    "Account": {
        "Name": _named("Account"),
        "BillingStreet": _text("Street"),
        "BillingCity": _text("City"),
        "Phone": _text("0"),
        "Internet_Eligibility__c": _choice("Home 1G", "Pending", None),
    },
    "PricebookEntry": {"UnitPrice": _price, "IsActive": _choice(True, False)},
    "Order": {
        "Status": _choice("Draft", "Activating", "Activated", "Completed"),
        "EffectiveDate": lambda rng, n: f"2026-{1 + n % 12:02d}-{1 + n % 28:02d}",
        "Description": _text("Note"),
        "BillingCity": _text("City"),
    },
}
REQUIRED = {
    "Product2": ("Name",),
    "Account": ("Name",),
    "PricebookEntry": ("UnitPrice",),
    "Order": ("Status", "EffectiveDate"),
}


def created(rng: random.Random, object_name: str, n: int) -> dict[str, Any]:
    fields = FIELDS[object_name]
    return {name: make(rng, n) for name, make in fields.items() if name in REQUIRED[object_name] or rng.random() < 0.7}


def changed(rng: random.Random, object_name: str, n: int) -> dict[str, Any]:
    names = rng.sample(sorted(FIELDS[object_name]), rng.choice((1, 1, 2)))
    return {name: FIELDS[object_name][name](rng, n) for name in names}
