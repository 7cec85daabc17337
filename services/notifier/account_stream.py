"""The stream of all of an account's orders. No I/O: it writes to a `Wire` and never waits.

As in the stream of one order, what waits for a blocked wire is the newest state of each order, and no cursor runs
ahead of what is on the socket.

A limit: an order whose account nobody knew when the client connected is shown from the first record that names it.
If that record came late, an older state is shown until the order's next change or the client's next snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.versions import StatusVersion
from services.notifier import sse
from services.notifier.account_verdict import AccountPlan, AccountSnapshot
from services.notifier.cursor import AccountCursor, Place, Sealer
from services.notifier.ring import Entry, Ring
from services.notifier.streams import Greeting, Wire
from services.notifier.unowned import Unowned
from services.notifier.verdict import State
from services.notifier.view import BURST, View

MOST_WAITING = 256
"""Orders whose newest state may wait for a blocked client; one that falls further behind is closed and resumes."""
MOST_VIEWS = 2_000
"""Orders whose shown state is remembered per stream; the client's own contract covers the others."""

Update = tuple[bytes, int]
"""Data of an `order.update`, and how many states it skips."""


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    skipped: int = 0


class AccountStream:
    """One client on all orders of its account. `open` comes first; then the account's records are offered."""

    kind = "account"

    def __init__(
        self,
        account_id: str,
        *,
        rings: Sequence[Ring],
        unowned: Unowned,
        sealer: Sealer,
        wire: Wire,
        greet: Greeting,
    ) -> None:
        self.account_id = account_id
        self.wire = wire
        self.hole_until: tuple[int, ...] | None = None
        self._rings = rings
        self._unowned = unowned
        self._sealer = sealer
        self._greet = greet
        self._joins = tuple(ring.pos for ring in rings)
        self._resumed = False
        self._certain = False
        self._ahead: dict[int, Place] = {}
        self._views: dict[str, View] = {}
        self._waiting: dict[str, _Waiting] = {}

    def open(self, plan: AccountPlan, mine: Iterable[Entry], retry_ms: int) -> None:
        """Say how the stream goes on, then what the client has missed, in one write.

        mine: the account's entries from the plan's joins on; for a snapshot also those below that no row covers
        """
        self._joins, self.hole_until, self._ahead = plan.joins, plan.hole_until, dict(plan.ahead)
        self._resumed, self._certain = plan.resume == "exact", plan.resume == "snapshot"
        updates = [*self._states(plan.states), *self._replay(mine)]
        held = None if updates else self._seal()
        opening = sse.frame("stream", sse.encode(self._greet(plan.resume)), cursor=held, retry_ms=retry_ms)
        self._write([opening], updates)

    def offer(self, entry: Entry) -> None:
        """The next record of one of the account's orders."""
        if entry.offset >= self._joins[entry.partition]:
            self.adopt(entry)

    def _wait(self, entry: Entry) -> None:
        waiting = self._waiting.get(entry.order_id)
        self._waiting[entry.order_id] = _Waiting(entry, 0 if waiting is None else waiting.skipped + 1)
        if len(self._waiting) > MOST_WAITING:
            self.wire.end("stuck")

    def flush(self) -> bool:
        """Write what waits, once the wire takes it again; True when nothing waits any more."""
        if not self._waiting:
            return True
        if self.wire.blocked:
            return False
        waiting, self._waiting = self._waiting, {}
        self._write([], [(each.entry.data, each.skipped) for each in waiting.values()])
        return True

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def beat(self, data: bytes) -> None:
        if not self._waiting and not self.wire.blocked:
            self.wire.write(sse.frame("heartbeat", data, cursor=self._seal()))

    def tell(self, event: str, data: bytes, retry_ms: int | None = None) -> None:
        """A notice that is no state and moves no cursor."""
        if not self.wire.blocked:
            self.wire.write(sse.frame(event, data, retry_ms=retry_ms))

    def heal(self, snapshot: AccountSnapshot) -> bool:
        """Close the gap, if this snapshot reaches far enough and the wire takes it; says whether it did."""
        if self.hole_until is None or not self.flush():
            return False
        if any(at < until for at, until in zip(snapshot.positions, self.hole_until, strict=True)):
            return False
        self.hole_until, self._certain = None, True
        for view in self._views.values():
            view.shown = None
        updates = self._states(snapshot.states)
        held = None if updates else self._seal()
        self._write([sse.frame("stream", sse.encode(self._greet("snapshot")), cursor=held)], updates)
        return True

    @property
    def has_gap(self) -> bool:
        return self.hole_until is not None

    @property
    def is_ahead(self) -> bool:
        return bool(self._ahead)

    def check_ahead(self) -> None:
        """Once the instance has read up to the client's places: were they of this log? Else there is a gap."""
        for partition, place in list(self._ahead.items()):
            ring = self._rings[partition]
            if ring.pos < place.next:
                continue
            del self._ahead[partition]
            if ring.fp_below(place.next) != place.fp:
                self.hole_until = tuple(each.pos for each in self._rings)

    def adopt(self, entry: Entry) -> None:
        """An earlier record whose order has turned out to be the account's."""
        if not self._shows(entry):
            return
        if self._waiting or self.wire.blocked:
            self._wait(entry)
        else:
            self.wire.write(sse.update(entry.data, self._seal()))

    def _shows(self, entry: Entry) -> bool:
        """Whether the record is to be sent.

        Until rows have told the newest state, the client may show a newer version than this stream knows of. It
        then ignored what it was last sent, and a repetition of that is no repetition to it.
        """
        view = self._view(entry)
        if not self._certain:
            view.shown = None
        return view.accept(entry)

    def _view(self, entry: Entry) -> View:
        """What the client has been shown of the order."""
        view = self._views.get(entry.order_id)
        if view is None:
            view = self._views[entry.order_id] = View(0, last=self._told_before(entry))
            if len(self._views) > MOST_VIEWS:
                del self._views[next(iter(self._views))]
        return view

    def _told_before(self, entry: Entry) -> StatusVersion | None:
        """Before an exact resume: the greatest version that the log had then.

        Not its content as well: while nobody knew the order's account, the client was not shown it.
        """
        if not self._resumed:
            return None
        until = min(entry.offset, self._joins[entry.partition])
        earlier = self._rings[entry.partition].of(entry.order_id, 0)
        return max((each.version for each in earlier if each.offset < until), default=None)

    def _states(self, states: Mapping[str, State]) -> list[Update]:
        shown = []
        for order_id, state in states.items():
            if self._views.setdefault(order_id, View(0)).accept_state(state):
                shown.append((state.data, 0))
        return shown

    def _replay(self, mine: Iterable[Entry]) -> list[Update]:
        shown = [entry for entry in mine if self._shows(entry)]
        if len(shown) <= BURST:
            return [(entry.data, 0) for entry in shown]
        spared = Counter(entry.order_id for entry in shown)
        newest = {entry.order_id: entry for entry in shown}
        return [(entry.data, spared[order_id] - 1) for order_id, entry in newest.items()]

    def _write(self, blocks: list[bytes], updates: Sequence[Update]) -> None:
        """All in one write. Only the last update's cursor claims them all; a client cut before it gets a snapshot."""
        if updates:
            partial = self._seal(partial=True)
            blocks += [sse.update(data, partial, skipped) for data, skipped in updates[:-1]]
            blocks.append(sse.update(updates[-1][0], self._seal(), updates[-1][1]))
        self.wire.write(b"".join(blocks))

    def _seal(self, *, partial: bool = False) -> str:
        places = tuple(self._place(partition) for partition in range(len(self._rings)))
        return self._sealer.seal_account(self.account_id, AccountCursor(places, partial or self.has_gap))

    def _place(self, partition: int) -> Place:
        ring = self._rings[partition]
        ahead = self._ahead.get(partition)
        if ahead is not None:
            return ahead
        held_back = self._unowned.first(partition)
        following = ring.pos if held_back is None else min(ring.pos, held_back)
        # 0 stands for "not known": such a cursor is answered with a snapshot.
        return Place(following, ring.fp_below(following) or 0)
