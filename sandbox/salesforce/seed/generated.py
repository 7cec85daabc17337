"""More products than anyone would write by hand, the same for the same seed."""

import random
from collections.abc import Iterator

from sandbox.salesforce.seed.catalog import OFFERINGS, REGIONS, TIERS, Plan


def generated_plans(count: int, seed: int) -> Iterator[Plan]:
    """`count` plans of all classes; one in twenty is retired."""
    draw = random.Random(seed)
    for number in range(1, count + 1):
        yield _plan(number, draw)


def _plan(number: int, draw: random.Random) -> Plan:
    kind = draw.choice(("Internet", "SIM", "VPN", "Add-on"))
    active = draw.random() >= 0.05
    yen = draw.randrange(300, 12_000, 10)
    code = f"{number:05d}"
    if kind == "Internet":
        offering, home, speed, _, _ = draw.choice(OFFERINGS)
        tier = draw.choice(TIERS)
        return Plan(
            sku=f"INT-{home}-{tier.upper()}-{speed}-{code}",
            name=f"Internet {tier} {code} ({offering})",
            name_ja=f"インターネット {code}",
            item_class=kind,
            offering=offering,
            tier=tier,
            yen=yen,
            active=active,
        )
    if kind == "VPN":
        region, region_ja = draw.choice(REGIONS)
        return Plan(
            sku=f"VPN-{region.upper()}-{code}",
            name=f"VPN Router {region} {code}",
            name_ja=f"VPNルーター {region_ja} {code}",
            item_class=kind,
            offering="VPN Router",
            region=region,
            yen=yen,
            active=active,
        )
    prefix, offering = ("SIM", draw.choice(("Data Only", "Data + Voice"))) if kind == "SIM" else ("ADD", "Internet")
    return Plan(
        sku=f"{prefix}-{code}",
        name=f"{kind} {code}",
        name_ja=f"{kind} {code}",
        item_class=kind,
        offering=offering,
        yen=yen,
        active=active,
    )
