"""What the org does by itself around a write: auto-numbers, roll-ups, price book integrity, the order status flow."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.salesforce.commit import Notice
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.objects import ORDER, ORDER_ITEM, PRICEBOOK_ENTRY
from sandbox.salesforce.schema import Record, SObject, Value

if TYPE_CHECKING:
    from sandbox.salesforce.transaction import Transaction


def before_create(tx: "Transaction", obj: SObject, record: Record) -> None:
    """Fill what the org fills and refuse what does not fit together."""
    if "OwnerId" in obj.by_name:
        record.setdefault("OwnerId", tx.caller.user_id)
    _check_references(tx, obj, record)
    if obj.name == "PricebookEntry":
        _check_entry(tx, record)
    elif obj.name == "Order":
        _number_order(tx, record)
    elif obj.name == "OrderItem":
        _price_line(tx, record)


def before_update(tx: "Transaction", obj: SObject, old: Record, record: Record, values: Mapping[str, Value]) -> None:
    _check_references(tx, obj, values)
    if obj.name == "Order":
        record["StatusCode"] = _status_code(record)
        if record.get("Status") != old.get("Status") and "Status_Reason__c" not in values:
            record["Status_Reason__c"] = None  # a reason belongs to the change it explains
    elif obj.name == "OrderItem":
        record["TotalPrice"] = _times(record.get("UnitPrice"), record.get("Quantity"))
    elif obj.name == "PricebookEntry" and record.get("UseStandardPrice"):
        record["UnitPrice"] = _standard_price(tx, record)


def after_write(tx: "Transaction", obj: SObject, old: Record | None, record: Record) -> None:
    """Carry a write on to the records that depend on it."""
    if obj.name == "OrderItem":
        _roll_up(tx, str(record["OrderId"]))
    elif obj.name == "Order" and old is not None:
        _tell_status(tx, old, record)
    elif obj.name == "PricebookEntry" and old is not None and old.get("UnitPrice") != record.get("UnitPrice"):
        _mirror(tx, record)


def before_delete(tx: "Transaction", obj: SObject, record: Record) -> None:
    """A product with entries takes them along; one that is on an order cannot go."""
    if obj.name == "Product2":
        for line in tx.store.tables["OrderItem"].records.values():
            if line.get("Product2Id") == record["Id"] and not line["IsDeleted"]:
                raise Refused(
                    "DELETE_FAILED",
                    "Your attempt to delete the product could not be completed because it is associated with orders.",
                )
        _delete_all(tx, PRICEBOOK_ENTRY, "Product2Id", record)
    elif obj.name == "Order":
        _delete_all(tx, ORDER_ITEM, "OrderId", record)


def after_delete(tx: "Transaction", obj: SObject, record: Record) -> None:
    if obj.name == "OrderItem" and tx.store.live("Order", record["OrderId"]) is not None:
        _roll_up(tx, str(record["OrderId"]))


def _delete_all(tx: "Transaction", obj: SObject, field: str, parent: Record) -> None:
    for child in tuple(tx.store.tables[obj.name].where(field, parent["Id"])):
        if not child["IsDeleted"]:
            tx.delete(obj, str(child["Id"]))


def _check_references(tx: "Transaction", obj: SObject, values: Mapping[str, Value]) -> None:
    for name, value in values.items():
        to = obj.by_name[name].refers_to
        if to and value is not None:
            tx.check_lock(to, str(value))
        if to and value is not None and tx.store.live(to, value) is None:
            raise Refused("INVALID_CROSS_REFERENCE_KEY", f"invalid cross reference id: {name} {value}", [name])


def _check_entry(tx: "Transaction", record: Record) -> None:
    """A product is priced once per book and currency, in the standard book before any other."""
    book = tx.store.live("Pricebook2", record.get("Pricebook2Id"))
    if book is None:
        return
    siblings = [
        e for e in tx.store.tables["PricebookEntry"].where("Product2Id", record.get("Product2Id")) if not e["IsDeleted"]
    ]
    same = [e for e in siblings if e.get("CurrencyIsoCode") == record.get("CurrencyIsoCode")]
    if any(e["Pricebook2Id"] == book["Id"] for e in same):
        raise Refused("DUPLICATE_VALUE", "This price definition already exists in this price book", [])
    if not book.get("IsStandard") and _standard_entry(tx, record) is None:
        raise Refused("STANDARD_PRICE_NOT_DEFINED", "No standard price defined for this product", [])
    if record.get("UseStandardPrice"):
        record["UnitPrice"] = _standard_price(tx, record)
    elif record.get("UnitPrice") is None:
        raise Refused("REQUIRED_FIELD_MISSING", "Required fields are missing: [UnitPrice]", ["UnitPrice"])


def _standard_entry(tx: "Transaction", record: Record) -> Record | None:
    for entry in tx.store.tables["PricebookEntry"].where("Product2Id", record.get("Product2Id")):
        book = tx.store.live("Pricebook2", entry.get("Pricebook2Id"))
        same = entry.get("CurrencyIsoCode") == record.get("CurrencyIsoCode")
        if same and book is not None and book.get("IsStandard") and not entry["IsDeleted"]:
            return entry
    return None


def _standard_price(tx: "Transaction", record: Record) -> Value:
    standard = _standard_entry(tx, record)
    return record.get("UnitPrice") if standard is None else standard.get("UnitPrice")


def _mirror(tx: "Transaction", standard: Record) -> None:
    """Entries that use the standard price follow it."""
    book = tx.store.live("Pricebook2", standard.get("Pricebook2Id"))
    if book is None or not book.get("IsStandard"):
        return
    for entry in tuple(tx.store.tables["PricebookEntry"].where("Product2Id", standard["Product2Id"])):
        follows = entry.get("UseStandardPrice") and entry.get("CurrencyIsoCode") == standard.get("CurrencyIsoCode")
        if follows and not entry["IsDeleted"]:
            tx.set_derived(PRICEBOOK_ENTRY, str(entry["Id"]), {"UnitPrice": standard.get("UnitPrice")})


def _number_order(tx: "Transaction", record: Record) -> None:
    tx.counters.order_number += 1
    record["OrderNumber"] = f"{tx.counters.order_number:08d}"
    record["TotalAmount"] = 0.0
    record["StatusCode"] = _status_code(record)


def _status_code(record: Record) -> str:
    return "Draft" if record.get("Status") == "Draft" else "Activated"


def _price_line(tx: "Transaction", record: Record) -> None:
    """A line belongs to its order's price book and currency."""
    order = tx.store.live("Order", record.get("OrderId"))
    entry = tx.store.live("PricebookEntry", record.get("PricebookEntryId"))
    if order is None or entry is None:
        return  # the required-field check names what is missing
    if order.get("Pricebook2Id") != entry.get("Pricebook2Id"):
        raise Refused(
            "FIELD_INTEGRITY_EXCEPTION",
            "field integrity exception (pricebook entry is in a different pricebook than the order)",
            ["PricebookEntryId"],
        )
    if order.get("CurrencyIsoCode") != entry.get("CurrencyIsoCode"):
        raise Refused(
            "FIELD_INTEGRITY_EXCEPTION",
            "field integrity exception: PricebookEntryId (currency does not match the order)",
            ["PricebookEntryId"],
        )
    if not entry.get("IsActive"):
        raise Refused(
            "FIELD_INTEGRITY_EXCEPTION",
            "field integrity exception: PricebookEntryId (pricebook entry is inactive)",
            ["PricebookEntryId"],
        )
    tx.counters.line_number += 1
    record["OrderItemNumber"] = f"{tx.counters.line_number:010d}"
    record["Product2Id"] = entry["Product2Id"]
    record["ListPrice"] = entry.get("UnitPrice")
    record["TotalPrice"] = _times(record.get("UnitPrice"), record.get("Quantity"))


def _times(price: Value, quantity: Value) -> float:
    return float(Decimal(str(price or 0)) * Decimal(str(quantity or 0)))


def _roll_up(tx: "Transaction", order_id: str) -> None:
    lines = tx.store.tables["OrderItem"].where("OrderId", order_id)
    total = sum((Decimal(str(line["TotalPrice"])) for line in lines if not line["IsDeleted"]), Decimal())
    tx.set_derived(ORDER, order_id, {"TotalAmount": float(total)})


def _tell_status(tx: "Transaction", old: Record, record: Record) -> None:
    """The org's flow: a changed status, or another reason for it, is published once the transaction commits."""
    if all(old.get(name) == record.get(name) for name in ("Status", "Status_Reason__c")):
        return
    fields: dict[str, Value] = {
        "Order_Id__c": record["Id"],
        "Account_Id__c": record.get("AccountId"),
        "Status__c": record.get("Status"),
        "Reason__c": record.get("Status_Reason__c"),
    }
    tx.notify(Notice("Order_Status__e", fields, timed="Occurred_At__c"))
