"""A parsed query."""

from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]  # ("Product2", "Name")


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written: its kind decides how a field compares with it."""

    kind: str  # text, number, boolean, null, datetime, date, range
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    path: Path
    operator: str  # = != < <= > >= LIKE IN NOT IN
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Not:
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple["Condition", ...]


Condition: TypeAlias = Comparison | Not | All | AnyOf


@dataclass(frozen=True, slots=True)
class Aggregate:
    """COUNT(Id) total; without a path it is COUNT()."""

    function: str
    path: Path
    alias: str


@dataclass(frozen=True, slots=True)
class Sort:
    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    """`select` holds paths and aggregates in the order written."""

    select: tuple[Path | Aggregate, ...]
    source: str
    where: Condition | None = None
    group: tuple[Path, ...] = ()
    order: tuple[Sort, ...] = ()
    limit: int | None = None
    offset: int = 0

    @property
    def aggregates(self) -> bool:
        return bool(self.group) or any(isinstance(item, Aggregate) for item in self.select)

    @property
    def bare_count(self) -> bool:
        """SELECT COUNT(): only a number, no rows."""
        return len(self.select) == 1 and isinstance(self.select[0], Aggregate) and not self.select[0].path
