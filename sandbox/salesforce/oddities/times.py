"""What a commit says of its time: early, or by another server's clock."""

import random
from collections.abc import Callable, Iterable

from sandbox.salesforce.oddities.settings import NEVER, Oddities, draw

_KEPT = 20_000


class CommitTimes:
    """Reported commit times.  They never run backward for one record, unless clocks disagree."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._last: dict[str, int] = {}

    def of(self, now_ms: int, record_ids: Iterable[str], oddities: Oddities, stamp: Callable[[int], int]) -> int:
        at = stamp(now_ms - draw(self._rng, oddities.early_commit_ms) + draw(self._rng, oddities.clock_skew_ms))
        if oddities.early_commit_ms == NEVER or oddities.clock_skew_ms != NEVER:
            return at
        ids = tuple(record_ids)
        at = max([at, *(self._last[i] for i in ids if i in self._last)])
        if len(self._last) > _KEPT:
            self._last = {i: t for i, t in self._last.items() if t > at - 60_000}
        self._last.update(dict.fromkeys(ids, at))
        return at
