"""The catalog of an invented telecom company, as a price list a person could have written."""

from collections.abc import Iterator
from dataclasses import dataclass

TIERS = ("Silver", "Gold", "Platinum")
# An internet plan's offering type is the eligibility an account needs for it.
OFFERINGS = (
    ("Home 1G", "HOME", "1G", "戸建て", 4980),
    ("Home 10G", "HOME", "10G", "戸建て", 5980),
    ("Apartment 1G", "APT", "1G", "マンション", 3980),
)
_TIER_STEP = {"Silver": 0, "Gold": 700, "Platinum": 1900}
_TIER_JA = {"Silver": "シルバー", "Gold": "ゴールド", "Platinum": "プラチナ"}
REGIONS = (
    ("US-West", "アメリカ西海岸"),
    ("UK", "イギリス"),
    ("Singapore", "シンガポール"),
    ("Germany", "ドイツ"),
    ("Japan", "日本"),
)
_SIZES = (("5GB", 1080), ("10GB", 1680), ("25GB", 2680), ("50GB", 3980))
_YEN_PER_DOLLAR = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One product with its standard price; `portal_off` is what the portal's book takes off it, in yen."""

    sku: str
    name: str
    name_ja: str
    item_class: str
    offering: str
    yen: int
    tier: str | None = None
    region: str | None = None
    description: str = ""
    active: bool = True
    portal_active: bool = True
    portal_off: int = 0

    def price(self, currency: str, *, portal: bool) -> float:
        """Whole yen, or dollars and cents."""
        yen = self.yen - (self.portal_off if portal else 0)
        return float(yen) if currency == "JPY" else round(yen / _YEN_PER_DOLLAR, 2)


def plans() -> Iterator[Plan]:
    """The hand-written part of the catalog."""
    yield from _internet()
    yield from _sim()
    yield from _vpn()
    yield from _activation()
    yield from _addons()
    yield from _retired()


def _internet() -> Iterator[Plan]:
    for offering, home, speed, home_ja, yen in OFFERINGS:
        for tier in TIERS:
            yield Plan(
                sku=f"INT-{home}-{tier.upper()}-{speed}",
                name=f"Internet {tier} ({offering})",
                name_ja=f"インターネット {_TIER_JA[tier]} {home_ja} {speed}",
                item_class="Internet",
                offering=offering,
                tier=tier,
                yen=yen + _TIER_STEP[tier],
                portal_off=200 if tier == "Gold" else 0,
                description=f"Fibre at up to {speed}bps, {tier} service level.",
            )


def _sim() -> Iterator[Plan]:
    for kind, code, kind_ja, extra in (
        ("Data Only", "DATA", "データ専用", 0),
        ("Data + Voice", "VOICE", "音声通話付き", 720),
    ):
        for size, yen in _SIZES:
            yield Plan(
                sku=f"SIM-{code}-{size}",
                name=f"SIM {kind} {size}",
                name_ja=f"SIM {kind_ja} {size}",
                item_class="SIM",
                offering=kind,
                yen=yen + extra,
                portal_off=100 if size == "25GB" else 0,
                description=f"{size} a month on 4G and 5G.",
            )


def _vpn() -> Iterator[Plan]:
    for region, region_ja in REGIONS:
        yield Plan(
            sku=f"VPN-{region.upper()}",
            name=f"VPN Router {region}",
            name_ja=f"VPNルーター {region_ja}",
            item_class="VPN",
            offering="VPN Router",
            region=region,
            yen=2500,
            description="A rented router with an address in the region.",
        )


def _activation() -> Iterator[Plan]:
    rows = (
        ("ACT-INT-INSTALL-ONCE", "Internet Installation, paid once", "インターネット工事費 一括", "Internet", 22800),
        ("ACT-INT-INSTALL-12", "Internet Installation, 12 months", "インターネット工事費 12回", "Internet", 1900),
        ("ACT-INT-INSTALL-24", "Internet Installation, 24 months", "インターネット工事費 24回", "Internet", 950),
        ("ACT-SIM", "SIM Activation Fee", "SIM開通手数料", "SIM", 1500),
        ("ACT-SIM-MNP", "Number Transfer Fee", "番号移行手数料", "SIM", 1000),
        ("ACT-VPN", "VPN Activation Fee", "VPN開通手数料", "VPN", 3000),
    )
    for sku, name, name_ja, offering, yen in rows:
        yield Plan(sku=sku, name=name, name_ja=name_ja, item_class="Activation", offering=offering, yen=yen)


def _addons() -> Iterator[Plan]:
    rows = (
        ("ADD-HOME-PHONE", "Home Phone", "ひかりでんわ相当サービス", "Internet", 450),
        ("ADD-WIFI-ROUTER", "Wi-Fi Router Rental", "Wi-Fiルーターレンタル", "Internet", 300),
        ("ADD-STATIC-IP", "Static IP Address", "固定IPアドレス", "Internet", 1200),
        ("ADD-SUPPORT-EN", "English Support", "英語サポート", "Internet", 500),
        ("ADD-SIM-VOICEMAIL", "Voice Mail", "留守番電話", "SIM", 300),
        ("ADD-SIM-CALLWAIT", "Call Waiting", "割込通話", "SIM", 200),
        ("ADD-SIM-5MIN", "Unlimited 5-Minute Calls", "5分かけ放題", "SIM", 500),
        ("ADD-SIM-SECOND", "Second SIM Card", "SIMカード追加", "SIM", 400),
    )
    for sku, name, name_ja, offering, yen in rows:
        yield Plan(sku=sku, name=name, name_ja=name_ja, item_class="Add-on", offering=offering, yen=yen)


def _retired() -> Iterator[Plan]:
    yield Plan(
        sku="INT-HOME-BRONZE-100M",
        name="Internet Bronze (Home 100M)",
        name_ja="インターネット ブロンズ 100M",
        item_class="Internet",
        offering="Home 1G",
        yen=3480,
        active=False,
        portal_active=False,
        description="No longer sold.",
    )
    yield Plan(
        sku="SIM-DATA-1GB",
        name="SIM Data Only 1GB",
        name_ja="SIM データ専用 1GB",
        item_class="SIM",
        offering="Data Only",
        yen=680,
        portal_active=False,
        description="Sold in shops only.",
    )
