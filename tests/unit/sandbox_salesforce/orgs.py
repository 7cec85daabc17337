"""Orgs for tests: planted under a directory, on a clock the test moves."""

from pathlib import Path

from sandbox.salesforce.clock import Clock
from sandbox.salesforce.journal import Journal
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.org import Behaviour, Org, open_org
from sandbox.salesforce.schema import SObject
from sandbox.salesforce.seed.plant import Planter

ORG_ID, USER_ID = "00DIU0000000001YAA", "005IU0000000001YAA"
PRICES = "/data/PricebookEntryChangeEvent"
ORDERS = "/data/OrderChangeEvent"
STATUS = "/event/Order_Status__e"


class StillClock(Clock):
    """Time that moves only when told to, by `offset_ms`."""

    __slots__ = ()

    def now_ms(self) -> int:
        return 1_790_000_000_250 + self.offset_ms


def open_planted(
    state_dir: Path,
    clock: Clock | None = None,
    behaviour: Behaviour | None = None,
    objects: dict[str, SObject] = OBJECTS,
) -> tuple[Org, Journal]:
    """The org under the directory, planted when it is new."""
    state_dir.mkdir(exist_ok=True)
    org, journal, known = open_org(state_dir, ORG_ID, USER_ID, clock or StillClock(), behaviour or Behaviour(), objects)
    if not known:
        Planter(org).plant(products=0, accounts=0, seed=1)
    org.compact()
    return org, journal
