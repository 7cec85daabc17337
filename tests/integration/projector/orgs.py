"""Random orgs of a few products, entries, accounts and orders, made of one history for each record.

The histories are those of `tests.support.worlds`: lost, doubled and shuffled events, late reads, extremes.
Few SKUs and few products, so that records compete; some prices do not fit.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.events import OrderStatus, RecordChange
from schemas.join import ALIVE, State
from schemas.versions import Version
from services.projector.batch import Key
from tests.integration.projector import harness
from tests.integration.projector.harness import sf_id
from tests.support import worlds

_SKUS = ("A", "B", None)
_PRICES = ("4980", "19.99", "5480", "0.005", "10000000000", None)
_STATUSES = ("Draft", "Activating", "Activated", "Failed")
SIZES = {"Product2": 3, "PricebookEntry": 4, "Account": 2, "Order": 2}

Translate = Callable[[str, Any], dict[str, Any]]


@dataclass(slots=True)
class Org:
    """messages: all that was said, in an order of arrival; truth: what the org holds at the end."""

    messages: list[RecordChange | OrderStatus] = field(default_factory=list)
    truth: dict[Key, State] = field(default_factory=dict)


def make(rng: random.Random) -> Org:
    org = Org()
    for name, size in SIZES.items():
        for number in range(size):
            _add_record(rng, org, name, number)
    org.messages += [_status(rng, number) for number in range(SIZES["Order"]) for _ in range(rng.randint(0, 4))]
    org.messages += [message for message in org.messages if rng.random() < 0.1]
    if rng.random() < 0.7:
        rng.shuffle(org.messages)
    return org


def _add_record(rng: random.Random, org: Org, name: str, number: int) -> None:
    world = worlds.make(rng, most_commits=4)
    key = Key(name, sf_id(name, number))
    for message in world.messages:
        fields = _translate_all(name, number, message.fields)
        if ALIVE in message.fields:
            fields[ALIVE] = message.fields[ALIVE]
        org.messages.append(msgspec.structs.replace(message, object=name, record_id=key.record_id, fields=fields))
    payload = {**_translate_all(name, number, world.values), ALIVE: not world.alive}
    org.truth[key] = State(payload=payload, base=Version("0" * 40))


def _translate_all(name: str, number: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Values of the model as values of the object; another record's same value is another one."""
    translated: dict[str, Any] = {}
    for each, value in fields.items():
        if each != ALIVE:
            translated |= _TRANSLATE[name](each, None if value is None else f"{value}.{number}")
    return translated


def _pick(options: tuple[Any, ...], value: Any) -> Any:
    """The same option for the same value, always."""
    return None if value is None else options[zlib.crc32(value.encode()) % len(options)]


def _product(name: str, value: Any) -> dict[str, Any]:
    match name:
        case "a":
            return {"StockKeepingUnit": _pick(_SKUS, value)}
        case "b":
            return {"Name": None if value is None else f"Name {value}"}
        case "c":
            return {"IsActive": _pick((True, False), value)}
        case _:
            return {"Item_Class__c": f"Class {value}"}


def _entry(name: str, value: Any) -> dict[str, Any]:
    match name:
        case "a":
            products = tuple(sf_id("Product2", number) for number in range(SIZES["Product2"]))
            return {"Product2Id": _pick(products, value), "Pricebook2Id": sf_id("Pricebook2", 1)}
        case "b":
            return {"UnitPrice": _pick(_PRICES, value)}
        case "c":
            return {"IsActive": _pick((True, False), value), "CurrencyIsoCode": "JPY"}
        case _:
            return {}


def _account(name: str, value: Any) -> dict[str, Any]:
    names = {"a": "Internet_Eligibility__c", "b": "Eligibility_Source__c", "c": "Credit__c", "d": "Score__c"}
    return {names[name]: value}


def _order(name: str, value: Any) -> dict[str, Any]:
    match name:
        case "a":
            return {"AccountId": _pick(tuple(sf_id("Account", n) for n in range(SIZES["Account"])), value)}
        case "b":
            return {"Status": _pick(_STATUSES, value)}
        case "c":
            return {"TotalAmount": _pick(_PRICES, value), "EffectiveDate": _pick(("2026-11-02", None), value)}
        case _:
            return {"OrderNumber": value}


_TRANSLATE: dict[str, Translate] = {
    "Product2": _product,
    "PricebookEntry": _entry,
    "Account": _account,
    "Order": _order,
}


def _status(rng: random.Random, number: int) -> OrderStatus:
    reason = rng.choice((None, None, "ADDRESS_CHECK", "SIM_SHIPPED"))
    return harness.status(number, rng.choice(_STATUSES), rng.randint(0, 5), reason)


def split(rng: random.Random, records: list[Any]) -> list[list[Any]]:
    """Cut into batches of any size."""
    batches = []
    while records:
        size = rng.choice((1, 2, rng.randint(1, 30)))
        batches.append(records[:size])
        records = records[size:]
    return batches
