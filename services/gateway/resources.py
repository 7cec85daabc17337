"""What can be asked for: each thing's key and tags, and how it is read from the shadow and from Salesforce."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from schemas import mapping
from services.gateway.entry import Entry
from services.kernel import tagcache
from services.salesforce.calls import CallClass

LIST_SECONDS = tagcache.LIST_SECONDS
RECORD_SECONDS = tagcache.RECORD_SECONDS
ABSENT_SECONDS = 60.0
"""Hard life of the knowledge that a key does not exist: anybody can ask for keys that do not."""

_SHAPE = "1"
"""Of the entries in the shared cache: another one for every change of what an answer or an entry holds."""

REMEMBERED = 4_096
"""Resources of each kind that are kept made, about 1 MB."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as it was read. lsn: of the primary it came from, None for a live one"""

    entry: Entry
    lsn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """rule_live: read live when it breaks the freshness rule; seconds: hard life in the shared cache"""

    key: str
    tags: Sequence[str]
    seconds: float
    from_shadow: Callable[[], Awaitable[Reading]]
    from_salesforce: Callable[[CallClass, float], Awaitable[Entry]]
    rule_live: bool = False

    def life(self, entry: Entry) -> float:
        return self.seconds if entry.found else min(self.seconds, ABSENT_SECONDS)


def edition(mapping_file: Path | None) -> str:
    """Begins every key: instances with another mapping, or of another version, keep their answers apart."""
    fields = (mapping_file or mapping.DEFAULT_FILE).read_bytes()
    return blake2b(_SHAPE.encode() + fields, digest_size=4).hexdigest()


def trace(topic: str, partition: int, offsets: Sequence[int | None] | None) -> str | None:
    """The newest record of its partition that a row may hold, as `explain` takes it."""
    if not offsets or partition >= len(offsets) or offsets[partition] is None:
        return None
    return f"{topic}:{partition}:{offsets[partition]}"


Row = Any
"""A row of asyncpg, which has no types."""
