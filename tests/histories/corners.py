"""Small worlds in the corners: one or two records, a few transactions, every time at its extreme, and reads that
begin to the millisecond where a bound lies. What random worlds meet once in a million, these meet within hundreds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from sandbox.salesforce.driver.history import STANDARD
from sandbox.salesforce.driver.inprocess import Played
from sandbox.salesforce.driver.steps import Step
from schemas import versions
from tests.histories.ingest import CLOCK_MS, Ingest, Job
from tests.histories.lives import START, TIGHT_MS
from tests.histories.truth import Truth

TOPIC = "/data/Product2ChangeEvent"
_FIELDS = ("Name", "StockKeepingUnit", "Item_Class__c")


@dataclass(slots=True)
class Corner:
    """One world under way: a product, its stream, and a copy that runs beside it."""

    rng: random.Random
    played: Played
    truth: Truth
    ingest: Ingest
    jobs: list[Job] = field(default_factory=list)
    count: int = 0
    alive: bool = True
    unseen: bool = False
    """Whether something changed that no event tells."""
    derived: bool = False

    def play(self, what: str, **body: Any) -> None:
        made = ("@p",) if any(o.get("op") == "create" for o in body.get("operations", ())) else ()
        self.played.play(Step(what, body, made))
        self.truth.note()

    def operation(self, op: str, **fields: Any) -> dict[str, Any]:
        name = {} if op == "create" else {"id": "@p"}
        return {"op": op, "object": "Product2", **name, **({"fields": fields} if fields else {})}

    def change(self, **behaviour: Any) -> None:
        """One commit of the record."""
        self.count += 1
        op = "undelete" if not self.alive else self.rng.choice(("update", "update", "update", "delete"))
        fields = {}
        if op == "update":
            names = self.rng.sample(_FIELDS, self.rng.choice((1, 1, 2)))
            fields = {n: None if n == "StockKeepingUnit" and self.rng.random() < 0.4 else self.value(n) for n in names}
        self.alive = op != "delete"
        more = {"as": behaviour} if behaviour else {}
        self.play("transaction", operations=[self.operation(op, **fields)], **more)

    def value(self, name: str) -> str:
        return self.rng.choice(("SIM", "VPN", "Internet")) if name == "Item_Class__c" else f"{name} {self.count}"


def make(seed: int) -> Ingest:
    """A finished world; what it knows is judged by the caller."""
    rng = random.Random(f"corner {seed}")
    if rng.random() < 0.1:
        return _old_read(rng)
    played = Played(random.Random(rng.random()), START + rng.choice((0, 1, 500, 999)), whole_seconds=rng.random() < 0.7)
    truth = Truth(played)
    world = Corner(rng, played, truth, Ingest(played, truth, rng, TIGHT_MS))
    world.play(
        "behave",
        late_reads_ms=rng.choice(((0, 0), (3_000, 3_000))),
        early_commit_ms=rng.choice(((0, 0), (1_000, 1_000))),
        number_jump_share=rng.choice((0.0, 0.5)),
        diffs=False,
    )
    _begin(world)
    for _ in range(rng.randint(1, 4)):
        _move(world)
    _end(world)
    return world.ingest


def _old_read(rng: random.Random) -> Ingest:
    """A price entry's Name is in no event; the copy that saw it began so little before that its version lies before
    the entry's creation."""
    played = Played(random.Random(rng.random()), START + rng.choice((0, 999)), whole_seconds=True)
    truth = Truth(played)
    ingest = Ingest(played, truth, rng, TIGHT_MS)
    truth.derived = True
    product = {"op": "create", "object": "Product2", "fields": {"Name": "Derived"}}
    entry = {"Product2Id": "@p", "Pricebook2Id": STANDARD, "UnitPrice": 1.0}
    played.play(Step("transaction", {"operations": [product]}, ("@p",)))
    ingest.wait(60_000)
    ingest.subscribe(from_now=False)
    played.play(Step("transaction", {"operations": [{"op": "create", "object": "PricebookEntry", "fields": entry}]}))
    ingest.wait(rng.choice((0, 1_000, 3_000)))
    job = ingest.full("PricebookEntry")
    truth.note()
    ingest.finish(job)
    for topic in (TOPIC, "/data/PricebookEntryChangeEvent"):
        ingest.consume(topic, 10)
    return ingest


def _begin(world: Corner) -> None:
    """The record is there before the copy, or comes while it runs."""
    rng, ingest = world.rng, world.ingest
    create = world.operation("create", Name="Name 0", StockKeepingUnit="SKU 0", IsActive=True, Item_Class__c="SIM")
    before = rng.random() < 0.5
    if before:
        world.play("transaction", operations=[create])
        ingest.wait(rng.choice((0, 1_000, 20_000)))
    ingest.subscribe(from_now=before and rng.random() < 0.5)
    world.jobs.append(ingest.full("Product2"))
    if not before:
        world.play("transaction", operations=[create])


def _move(world: Corner) -> None:
    """A commit with its event or without one, or a long one; a read where it may hurt; time."""
    rng, ingest = world.rng, world.ingest
    match rng.choice(("change", "change", "change", "lost", "gap", "long", "derive")):
        case "change":
            world.change()
        case "lost":
            world.unseen = True
            world.change(lose_share=1.0)
        case "gap":
            world.change(gap_share=1.0)
        case "long":
            _long(world)
        case "derive" if world.alive:
            world.derived = True
            fields = {"Item_Class__c": rng.choice(("Add-on", "Activation"))}
            world.play("derive", object="Product2", ids=["@p"], fields=fields)
    if rng.random() < 0.5:
        ingest.consume(TOPIC, 8)
    if rng.random() < 0.6:
        _probe(world)
    ingest.wait(rng.choice((0, 1, 250, 999, 1_000, 4_000, 60_000)))
    if world.jobs and rng.random() < 0.4:
        ingest.finish(world.jobs.pop())


def _long(world: Corner) -> None:
    """Stamped at the operation, committed much later."""
    if not world.alive:
        return
    world.count += 1
    world.played.play(Step("begin", begun="%t"))
    fields = {"Name": world.value("Name")}
    world.play("operate", transaction="%t", operations=[world.operation("update", **fields)])
    world.ingest.wait(world.rng.choice((1_000, 10_000, 60_000)))
    world.play("commit", transaction="%t")


def _probe(world: Corner) -> None:
    """A read by id that begins about where its version meets the newest event, or where that becomes visible."""
    rng, ingest = world.rng, world.ingest
    newest = _newest_event_ms(world)
    measured = newest + TIGHT_MS + rng.choice((-1, 0, 1, 400, 998, 999, 1_000, 1_500))
    error = rng.choice((-CLOCK_MS, 0, CLOCK_MS - 1, CLOCK_MS - 1))
    ingest.wait(measured - error - ingest.now_ms())
    ingest.read_by_id("Product2", [key[1] for key in ingest.truth.keys("Product2")], ingest.now_ms() + error)


def _newest_event_ms(world: Corner) -> int:
    """What the newest commit says of its time: by its event, or as it would have."""
    log = [m for m in world.ingest.log if m.origin == "cdc"]
    last = world.truth.last_ms
    return max([versions.at_ms(log[-1].version) if log else 0, last // 1000 * 1000 - world.rng.choice((0, 1_000))])


def _end(world: Corner) -> None:
    """What is due, and not more: a last read of all would hide what is wrong."""
    rng, ingest = world.rng, world.ingest
    for job in world.jobs:
        ingest.finish(job)
    ingest.wait(3_001)
    while ingest.consume(TOPIC, 100):
        pass
    if world.unseen or world.derived:
        ingest.wait(versions.proves(world.truth.last_ms, TIGHT_MS) + CLOCK_MS - ingest.now_ms())
        by_stamp = not world.derived
        job = ingest.delta("Product2", ingest.ask("Product2")) if by_stamp else ingest.full("Product2")
        ingest.finish(job)
    for key, mark in sorted(ingest.due().items()):
        ingest.repair(key, mark)
    for _ in range(rng.choice((0, 1, 1, 2))):
        world.change()
        if rng.random() < 0.5:
            _probe(world)
        ingest.wait(3_001)
        ingest.consume(TOPIC, 100)
        for key, mark in sorted(ingest.due().items()):
            ingest.repair(key, mark)
