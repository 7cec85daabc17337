"""Cache tags of what a batch changed, by the partition whose Kafka commit waits until they are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.projector.batch import Key
from services.projector.log import Place


class Tags:
    """Collects tags. A row that changed because another record did is booked on that record's partition."""

    def __init__(self, places: Mapping[Key, Place]) -> None:
        self.by_place: dict[Place, set[str]] = {}
        self._places = places

    def add(self, key: Key, tags: Iterable[str]) -> None:
        self.by_place.setdefault(self._place(key), set()).update(tags)

    def _place(self, key: Key) -> Place:
        known = self._places.get(key)
        return known if known is not None else next(iter(self._places.values()))
