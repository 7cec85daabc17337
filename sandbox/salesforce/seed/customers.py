"""Invented customers in every state of eligibility, and their orders in every status."""

from collections.abc import Iterator
from dataclasses import dataclass

# Every name says that it is a sample: "Mihon" and 見本 mean just that.
DEMO_ACCOUNTS: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("Hana Mihon (見本 花)", "Residential", "Home 1G", "Carrier check"),
    ("Kenji Sample", "Residential", "Home 10G", "Carrier check"),
    ("Yui Example", "Residential", "Apartment 1G", "Building survey"),
    ("Sora Mihon (見本 空)", "Residential", "Not Eligible", "Carrier check"),
    ("Ren Sample", "Residential", "Pending", "Shop"),
    ("Aoi Example", "Residential", None, None),
    ("Sample Bakery Komorebi", "Business", "Home 1G", "Shop"),
    ("Example Ryokan Tsukimi", "Business", "Home 10G", "Building survey"),
    ("Mihon Clinic Asagao (見本医院)", "Business", "Apartment 1G", "Carrier check"),
    ("Sample Books Hakkō", "Business", "Pending", "Carrier check"),
    ("Example Gallery Shizuku", "Business", "Not Eligible", "Building survey"),
    ("Mihon Robotics Lab (見本工房)", "Business", "Home 10G", "Shop"),
)
_CITIES = (("Minato-ku", "Tokyo"), ("Naka-ku", "Yokohama"), ("Kita-ku", "Osaka"), ("Chuo-ku", "Sapporo"))
_STATES = ("Home 1G", "Home 10G", "Apartment 1G", "Not Eligible", "Pending", None)


@dataclass(frozen=True, slots=True)
class DemoOrder:
    """An order of the demo account with this index; it went through these statuses."""

    account: int
    currency: str
    skus: tuple[str, ...]
    path: tuple[str, ...]
    reason: str | None = None


DEMO_ORDERS = (
    DemoOrder(0, "JPY", ("INT-HOME-GOLD-1G", "ACT-INT-INSTALL-24"), ("Activating", "Activated", "Completed")),
    DemoOrder(0, "JPY", ("SIM-VOICE-10GB", "ACT-SIM"), ("Activating",)),
    DemoOrder(
        1, "JPY", ("INT-HOME-PLATINUM-10G", "ACT-INT-INSTALL-ONCE", "ADD-WIFI-ROUTER"), ("Activating", "Activated")
    ),
    DemoOrder(2, "JPY", ("INT-APT-SILVER-1G",), ("Activating", "Failed"), "ADDRESS_NOT_SERVICEABLE"),
    DemoOrder(3, "JPY", ("SIM-DATA-25GB", "ACT-SIM"), ("Activating", "Activated", "Completed")),
    DemoOrder(4, "JPY", ("VPN-UK", "ACT-VPN"), ("Cancelled",), "CUSTOMER_REQUEST"),
    DemoOrder(6, "JPY", ("INT-HOME-SILVER-1G", "ADD-STATIC-IP"), ()),
    DemoOrder(7, "USD", ("INT-HOME-GOLD-10G", "ACT-INT-INSTALL-12"), ("Activating", "Activated")),
    DemoOrder(8, "JPY", ("SIM-DATA-50GB",), ("Activating", "Failed"), "NUMBER_TRANSFER_REJECTED"),
    DemoOrder(11, "USD", ("VPN-SINGAPORE", "ACT-VPN"), ()),
)


def account_number(index: int) -> str:
    return f"UM-{index + 1:06d}"


def account_fields(index: int) -> dict[str, str | None]:
    """The fields of the `index`-th account: a demo account first, then as many as wanted."""
    if index < len(DEMO_ACCOUNTS):
        name, kind, eligibility, source = DEMO_ACCOUNTS[index]
    else:
        name, kind, eligibility = f"Sample Household {index:05d}", "Residential", _STATES[index % len(_STATES)]
        source = "Carrier check" if eligibility else None
    ward, city = _CITIES[index % len(_CITIES)]
    return {
        "Name": name,
        "Type": kind,
        "AccountNumber": account_number(index),
        "BillingStreet": f"{ward} 1-{index + 1}",
        "BillingCity": city,
        "BillingPostalCode": f"{100 + index % 900:03d}-0000",
        "BillingCountry": "Japan",
        "Internet_Eligibility__c": eligibility,
        "Eligibility_Source__c": source,
        "Credit_Status__c": ("Clear", "Clear", "Review", "Hold")[index % 4],
    }


def order_dates(count: int) -> Iterator[int]:
    """Ages in days of the demo orders, oldest first."""
    yield from range(3 * count, 0, -3)
