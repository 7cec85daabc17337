"""Makes a history from a seed: transactions of records that depend on each other, and everything that may go wrong.

The same seed and profile give the same steps.  It knows roughly what the org will hold; a step that the org refuses
all the same changes nothing, and whoever plays it passes on.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce.driver.profile import Profile
from sandbox.salesforce.driver.steps import BEHAVE, WAIT, Step
from sandbox.salesforce.driver.values import changed, created

STANDARD = "@standard"
"""The standard price book, which is there from the start."""
EVENTED = ("Product2", "Account", "PricebookEntry", "Order")


@dataclass(slots=True)
class _Known:
    """A record as the history believes it is."""

    name: str
    object: str
    parent: str | None = None
    state: str = "alive"  # alive, deleted, gone
    lock: str | None = None  # the open transaction that has written it


class History:
    """Draws one history, step by step."""

    def __init__(self, rng: random.Random, profile: Profile) -> None:
        self._rng = rng
        self._profile = profile
        self._records: dict[str, _Known] = {}
        self._open: list[str] = []
        self._count = 0
        self._next: list[Step] = []

    def steps(self) -> Iterator[Step]:
        yield Step(BEHAVE, self._profile.behaviour)
        yield self._transaction([self._create("Product2"), self._create("Account")])
        half = self._profile.steps * 2 // 3
        for number in range(self._profile.steps):
            self.late = number >= half
            yield from self._some(self._profile.late if self.late else self._profile.early)
            yield self._wait()
        for name in tuple(self._open):
            yield self._end(name, "commit")

    late = False
    """Whether only late ingredients occur from here on."""

    def _wait(self) -> Step:
        rng = self._rng
        ms = rng.choice((0, 1, rng.randint(1, 999), 1_000, rng.randint(1, 20_000), self._profile.still))
        return Step(WAIT, {"ms": min(ms, self._profile.still)})

    def _some(self, allowed: frozenset[str]) -> Iterator[Step]:
        """One thing that happens; plain changes are half of all."""
        choices: list[Callable[[], Step | None]] = [self._plain] * 8 + [self._several, self._there_and_back]
        choices += [make for name, make in self._ingredients().items() if name in allowed and self._due(name)]
        choices += [self._long] * 2 if "long" in allowed else []
        yield self._rng.choice(choices)() or self._plain()
        yield from self._next
        self._next.clear()

    def _due(self, name: str) -> bool:
        """Lost logs are rarer than the rest: after each the ingestor begins anew."""
        return name not in ("forget", "migrate") or self._rng.random() < 0.3

    def _ingredients(self) -> dict[str, Callable[[], Step | None]]:
        rng = self._rng
        return {
            "gap": lambda: self._odd_transaction({"gap_share": 1.0}),
            "lose": lambda: self._odd_transaction({"lose_share": 1.0}),
            "overflow": lambda: self._odd_transaction({"most_changes": rng.choice((0, 1, 2))}),
            "duplicate": lambda: Step("duplicate", {"topic": self._topic(), "count": rng.randint(1, 3)}),
            "jump": lambda: Step("jump", {"by": rng.choice((-1, 1)) * rng.randint(1, 10**15)}),
            "forget": lambda: Step("forget", {} if rng.random() < 0.5 else {"topic": self._topic(), "keep": 1}),
            "migrate": lambda: Step("migrate"),
            "add-field": self._add_field,
            "touch": lambda: self._of_some("touch"),
            "derive": self._derive,
            "convert": lambda: Step("convert", {"object": "Account", "field": "Internet_Eligibility__c"}),
            "hard-delete": self._hard_delete,
        }

    def _topic(self) -> str:
        return f"/data/{self._rng.choice(EVENTED)}ChangeEvent"

    # Transactions

    def _transaction(self, operations: list[dict[str, Any]], **more: Any) -> Step:
        made = [operation.pop("name", None) for operation in operations]
        return Step("transaction", {"operations": operations, **more}, made)

    def _plain(self) -> Step:
        return self._transaction([self._operation() for _ in range(self._rng.choice((1, 1, 1, 2, 3)))])

    def _odd_transaction(self, behaviour: dict[str, Any]) -> Step:
        return self._transaction([self._operation() for _ in range(self._rng.randint(1, 3))], **{"as": behaviour})

    def _several(self) -> Step | None:
        """The same change of several records."""
        object_name = self._rng.choice(("Product2", "Account"))
        found = self._pick(object_name, most=3)
        if len(found) < 2:
            return None
        self._count += 1
        fields = changed(self._rng, object_name, self._count)
        return self._transaction([_update(known, fields) for known in found])

    def _there_and_back(self) -> Step | None:
        """One record is deleted and taken back in one second, by two transactions."""
        found = self._pick(self._rng.choice(("Product2", "Account")), most=1, childless=True)
        if not found:
            return None
        deleted = self._transaction([self._delete(found[0])])
        self._next.append(self._transaction([_undelete(found[0])]))
        return deleted

    def _operation(self, by: str | None = None) -> dict[str, Any]:
        rng = self._rng
        self._count += 1
        kind = rng.choice(("create", "update", "update", "update", "update", "delete", "undelete"))
        if kind == "undelete" and (dead := self._pick("", most=1, state="deleted", by=by)):
            return _undelete(dead[0])
        if kind == "delete" and (found := self._pick("", most=1, childless=True, by=by)):
            return self._delete(found[0])
        if kind == "create" and (made := self._dependent() if rng.random() < 0.6 else None) is not None:
            return made
        if kind != "create" and (found := self._pick("", most=1, by=by)):
            return _update(found[0], changed(rng, found[0].object, self._count))
        return self._create(rng.choice(("Product2", "Account")))

    def _delete(self, known: _Known) -> dict[str, Any]:
        known.state = "gone" if known.object == "PricebookEntry" else "deleted"  # a price cannot be taken back
        return {"op": "delete", "object": known.object, "id": known.name}

    def _create(self, object_name: str, parent: str | None = None, **fields: Any) -> dict[str, Any]:
        self._count += 1
        known = _Known(f"@{object_name[0].lower()}{self._count}", object_name, parent)
        self._records[known.name] = known
        return {
            "op": "create",
            "object": object_name,
            "fields": created(self._rng, object_name, self._count) | fields,
            "name": known.name,
        }

    def _dependent(self) -> dict[str, Any] | None:
        """A price of a product that has none, or an order of an account."""
        if self._rng.random() < 0.5 and (accounts := self._pick("Account", most=1)):
            return self._create("Order", accounts[0].name, AccountId=accounts[0].name)
        if products := self._pick("Product2", most=1, childless=True):
            name = products[0].name
            return self._create("PricebookEntry", name, Product2Id=name, Pricebook2Id=STANDARD)
        return None

    def _pick(
        self, object_name: str, *, most: int, state: str = "alive", childless: bool = False, by: str | None = None
    ) -> list[_Known]:
        """Records that can be worked on now, those a transaction holds only by itself."""
        parents = {known.parent for known in self._records.values() if known.state == "alive"}
        found = [
            known
            for known in self._records.values()
            if known.state == state
            and object_name in ("", known.object)
            and known.lock in (None, by)
            and not (childless and known.name in parents)
        ]
        return self._rng.sample(found, min(most, len(found)))

    # Transactions that stay open

    def _long(self) -> Step:
        rng = self._rng
        if not self._open or (len(self._open) < 2 and rng.random() < 0.3):
            self._count += 1
            name = f"%t{self._count}"
            self._open.append(name)
            return Step("begin", {"waited_ms": rng.choice((0, 0, 500, 20_000))}, begun=name)
        name = rng.choice(self._open)
        if rng.random() < 0.6:
            return self._operate(name)
        return self._end(name, "commit" if rng.random() < 0.85 else "abandon")

    def _operate(self, name: str) -> Step:
        operations = [self._operation(by=name) for _ in range(self._rng.randint(1, 2))]
        made = [operation.pop("name", None) for operation in operations]
        for record in (*made, *(operation.get("id") for operation in operations)):
            if record is not None:
                self._records[record].lock = name
        return Step("operate", {"transaction": name, "operations": operations}, made)

    def _end(self, name: str, what: str) -> Step:
        self._open.remove(name)
        for known in self._records.values():
            if known.lock == name:
                known.lock = None
                known.state = "gone" if what == "abandon" else known.state
        return Step(what, {"transaction": name})

    # What happens to records past all rules

    def _of_some(self, what: str, **more: Any) -> Step | None:
        found = self._pick(self._rng.choice(("Product2", "Account")), most=2)
        same = [known.name for known in found if known.object == found[0].object]
        return Step(what, {"object": found[0].object, "ids": same, **more}) if found else None

    def _derive(self) -> Step | None:
        self._count += 1
        found = self._pick("Product2", most=1)
        fields = {"Item_Class__c": self._rng.choice(("Internet", "Add-on"))}
        return Step("derive", {"object": "Product2", "ids": [found[0].name], "fields": fields}) if found else None

    def _hard_delete(self) -> Step | None:
        found = self._pick(self._rng.choice(("Product2", "Account", "Order")), most=1, childless=True)
        if not found:
            return None
        found[0].state = "gone"
        return Step("hard-delete", {"object": found[0].object, "ids": [found[0].name]})

    def _add_field(self) -> Step:
        self._count += 1
        return Step("add-field", {"object": self._rng.choice(EVENTED), "name": f"Added_{self._count}__c"})


def _update(known: _Known, fields: dict[str, Any]) -> dict[str, Any]:
    return {"op": "update", "object": known.object, "id": known.name, "fields": fields}


def _undelete(known: _Known) -> dict[str, Any]:
    known.state = "alive"
    return {"op": "undelete", "object": known.object, "id": known.name}
