"""REST calls of the door; each answer knows when its request began by the org's clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from services.salesforce.calls import CallClass
from services.salesforce.queue import SalesforceRequestQueue


@dataclass(frozen=True, slots=True)
class Read:
    """Records of one read.

    r0_ms: lower bound, in epoch ms by the org's clock, of when the read began: of its first page where there are
        more; no two reads of a process share one
    total: records that the query matches, on all pages
    """

    records: Sequence[Mapping[str, Any]]
    r0_ms: int
    total: int


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Records by id, and the ids that Salesforce does not have (or hides, or holds as deleted)."""

    records: Mapping[str, Mapping[str, Any]]
    missing: Sequence[str]
    r0_ms: int


@dataclass(frozen=True, slots=True)
class Count:
    total: int
    r0_ms: int


@dataclass(frozen=True, slots=True)
class Written:
    """A write that was carried out; r0_ms as in `Read`: the write became visible at or after it."""

    record_id: str
    r0_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRequest:
    """One part of a composite call.

    path: below /services/data/vNN.N/, for example `sobjects/Order`; may hold @{reference.id}
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    reference: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SubResult:
    reference: str
    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Composite:
    results: Mapping[str, SubResult]
    r0_ms: int


class Rest:
    """REST through the request queue. Every method takes the class and the deadline of its caller."""

    def __init__(self, queue: SalesforceRequestQueue) -> None:
        self._queue = queue

    async def query(self, soql: str, *, call_class: CallClass, deadline: float) -> Read:
        """All records of a query, every page of it; for large results use `pages`."""
        raise NotImplementedError

    async def query_all(self, soql: str, *, call_class: CallClass, deadline: float) -> Read:
        """As `query`, deleted and archived records included."""
        raise NotImplementedError

    def pages(
        self, soql: str, *, call_class: CallClass, deadline: float, include_deleted: bool = False
    ) -> AsyncIterator[Read]:
        """The pages of a query one by one, all with the first page's r0_ms."""
        raise NotImplementedError

    async def count(self, soql: str, *, call_class: CallClass, deadline: float, include_deleted: bool = False) -> Count:
        """Result of a `SELECT COUNT() FROM ...`."""
        raise NotImplementedError

    async def retrieve(
        self, object_name: str, ids: Sequence[str], fields: Sequence[str], *, call_class: CallClass, deadline: float
    ) -> Retrieved:
        """Up to 200 records by id in one call. A deleted record may be missing: `query_all` tells the difference."""
        raise NotImplementedError

    async def describe(self, object_name: str, *, call_class: CallClass, deadline: float) -> Mapping[str, Any]:
        """Salesforce's description of an object and its fields."""
        raise NotImplementedError

    async def limits(self, *, call_class: CallClass, deadline: float) -> Mapping[str, Any]:
        """The org's limits, {name: {Max, Remaining}}, up to five minutes old."""
        raise NotImplementedError

    async def create(
        self, object_name: str, fields: Mapping[str, Any], *, call_class: CallClass, deadline: float
    ) -> Written:
        """Insert one record. Raises Duplicate, BadRequest; `unknown_outcome` on an error means: look first."""
        raise NotImplementedError

    async def update(
        self, object_name: str, record_id: str, fields: Mapping[str, Any], *, call_class: CallClass, deadline: float
    ) -> Written:
        """Change fields of one record. Raises NotFound, BadRequest, Duplicate."""
        raise NotImplementedError

    async def composite(self, parts: Sequence[SubRequest], *, call_class: CallClass, deadline: float) -> Composite:
        """Up to 25 requests as one, all or none. Raises the first part's own error (Duplicate, BadRequest, ...)."""
        raise NotImplementedError
