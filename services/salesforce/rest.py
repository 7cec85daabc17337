"""REST calls of the door; each answer knows when its request began by the org's clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from services.salesforce import answers
from services.salesforce.calls import CallClass
from services.salesforce.queue import SalesforceRequestQueue
from services.salesforce.session import Session
from services.salesforce.starts import Starts

T = TypeVar("T")

MOST_IDS = 200
"""Ids that one retrieve takes."""
MOST_PARTS = 25
"""Requests that one composite call takes."""
_HALTED = "PROCESSING_HALTED"
"""Of a part that failed only because another did."""

_JSON = msgspec.json.Encoder(decimal_format="number")
"""Money leaves as the exact number it is."""


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
class Replicated:
    """Which records were changed, or deleted, in a span of time.

    covered: all is listed that was stamped before this; a transaction that runs long holds it back to its own start
    earliest: of `deleted` only, since when deletions are still known
    """

    ids: Sequence[str]
    covered: datetime
    r0_ms: int
    earliest: datetime | None = None


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
    """REST through the request queue. Every method takes the class and the deadline of its caller.

    All raise the errors of `services.salesforce.errors`.
    """

    def __init__(self, queue: SalesforceRequestQueue, starts: Starts) -> None:
        self._queue = queue
        self._starts = starts

    async def query(self, soql: str, *, call_class: CallClass, deadline: float) -> Read:
        """All records of a query, every page of it; for large results use `pages`."""
        return await _whole(self.pages(soql, call_class=call_class, deadline=deadline))

    async def query_all(self, soql: str, *, call_class: CallClass, deadline: float) -> Read:
        """As `query`, deleted and archived records included."""
        return await _whole(self.pages(soql, call_class=call_class, deadline=deadline, include_deleted=True))

    async def pages(
        self, soql: str, *, call_class: CallClass, deadline: float, include_deleted: bool = False
    ) -> AsyncGenerator[Read, None]:
        """The pages of a query one by one, all with the first page's r0_ms."""

        def first(session: Session) -> Any:
            return session.salesforce.query(soql, include_deleted=include_deleted)

        body, began_ms = await self._measured(call_class, "query", deadline, first)
        r0_ms = self._starts.take(began_ms)
        yield Read(body["records"], r0_ms, body["totalSize"])
        while not body["done"]:
            body, _ = await self._measured(call_class, "query_more", deadline, _next_page(body["nextRecordsUrl"]))
            yield Read(body["records"], r0_ms, body["totalSize"])

    async def count(self, soql: str, *, call_class: CallClass, deadline: float, include_deleted: bool = False) -> Count:
        """Result of a `SELECT COUNT() FROM ...`."""
        pages = self.pages(soql, call_class=call_class, deadline=deadline, include_deleted=include_deleted)
        read = await _whole(pages)
        return Count(read.total, read.r0_ms)

    async def retrieve(
        self, object_name: str, ids: Sequence[str], fields: Sequence[str], *, call_class: CallClass, deadline: float
    ) -> Retrieved:
        """Up to 200 records by id in one call. A deleted record may be missing: `query_all` tells the difference."""
        if not 1 <= len(ids) <= MOST_IDS:
            raise ValueError(f"1 to {MOST_IDS} ids are retrieved in one call, not {len(ids)}")
        wanted = {"ids": ",".join(ids), "fields": ",".join(dict.fromkeys(("Id", *fields)))}

        def request(session: Session) -> Any:
            return session.salesforce.restful(f"composite/sobjects/{quote(object_name, safe='')}", params=wanted)

        body, began_ms = await self._measured(call_class, "retrieve", deadline, request)
        records = {record["Id"]: record for record in body or () if record is not None}
        missing = [record_id for record_id in ids if record_id not in records]
        return Retrieved(records, missing, self._starts.take(began_ms))

    async def updated(
        self, object_name: str, start: datetime, end: datetime, *, call_class: CallClass, deadline: float
    ) -> Replicated:
        """Ids of records stamped from `start` up to `end`, both cut to the minute by Salesforce; 30 days back at most.

        BadRequest: the span is not allowed, or holds more than 600,000.
        """
        body, r0_ms = await self._replicated("updated", object_name, start, end, call_class, deadline)
        return Replicated(body["ids"], _moment(body["latestDateCovered"]), r0_ms)

    async def deleted(
        self, object_name: str, start: datetime, end: datetime, *, call_class: CallClass, deadline: float
    ) -> Replicated:
        """Ids of records deleted from `start` up to `end`, as `updated`; 15 days back at most."""
        body, r0_ms = await self._replicated("deleted", object_name, start, end, call_class, deadline)
        ids = [record["id"] for record in body["deletedRecords"]]
        return Replicated(ids, _moment(body["latestDateCovered"]), r0_ms, _moment(body["earliestDateAvailable"]))

    async def _replicated(
        self, what: str, object_name: str, start: datetime, end: datetime, call_class: CallClass, deadline: float
    ) -> tuple[Any, int]:
        path = f"sobjects/{quote(object_name, safe='')}/{what}/"
        span = {name: at.astimezone(UTC).isoformat(timespec="seconds") for name, at in (("start", start), ("end", end))}

        def request(session: Session) -> Any:
            return session.salesforce.restful(path, params=span)

        body, began_ms = await self._measured(call_class, what, deadline, request)
        return body, self._starts.take(began_ms)

    async def describe(self, object_name: str, *, call_class: CallClass, deadline: float) -> Mapping[str, Any]:
        """Salesforce's description of an object and its fields."""

        def request(session: Session) -> Any:
            return session.salesforce.restful(f"sobjects/{quote(object_name, safe='')}/describe")

        described: Mapping[str, Any] = await self._queue.call(call_class, "describe", deadline, request)
        return described

    async def limits(self, *, call_class: CallClass, deadline: float) -> Mapping[str, Any]:
        """The org's limits, {name: {Max, Remaining}}, up to five minutes old."""
        limits: Mapping[str, Any] = await self._queue.call(
            call_class, "limits", deadline, lambda session: session.salesforce.limits()
        )
        return limits

    async def create(
        self, object_name: str, fields: Mapping[str, Any], *, call_class: CallClass, deadline: float
    ) -> Written:
        """Insert one record. Raises Duplicate, BadRequest; `unknown_outcome` on an error means: look first."""
        path, data = f"sobjects/{quote(object_name, safe='')}", _JSON.encode(fields)

        def request(session: Session) -> Any:
            return session.salesforce.restful(path, method="POST", data=data)

        body, began_ms = await self._measured(call_class, "create", deadline, request)
        return Written(body["id"], self._starts.take(began_ms))

    async def update(
        self, object_name: str, record_id: str, fields: Mapping[str, Any], *, call_class: CallClass, deadline: float
    ) -> Written:
        """Change fields of one record. Raises NotFound, BadRequest, Duplicate."""
        path = f"sobjects/{quote(object_name, safe='')}/{quote(record_id, safe='')}"
        data = _JSON.encode(fields)

        def request(session: Session) -> None:
            session.salesforce.restful(path, method="PATCH", data=data)

        _, began_ms = await self._measured(call_class, "update", deadline, request)
        return Written(record_id, self._starts.take(began_ms))

    async def composite(self, parts: Sequence[SubRequest], *, call_class: CallClass, deadline: float) -> Composite:
        """Up to 25 requests as one, all or none. Raises the first part's own error (Duplicate, BadRequest, ...)."""
        if not 1 <= len(parts) <= MOST_PARTS:
            raise ValueError(f"a composite call has 1 to {MOST_PARTS} parts, not {len(parts)}")

        def request(session: Session) -> Any:
            parcel = {"allOrNone": True, "compositeRequest": [_part(part, session.data_path) for part in parts]}
            return session.salesforce.restful("composite", method="POST", data=_JSON.encode(parcel))

        body, began_ms = await self._measured(call_class, "composite", deadline, request)
        results = [
            SubResult(part["referenceId"], part["httpStatusCode"], part.get("body"))
            for part in body["compositeResponse"]
        ]
        _raise_first(results)
        return Composite({result.reference: result for result in results}, self._starts.take(began_ms))

    async def _measured(
        self, call_class: CallClass, route: str, deadline: float, request: Callable[[Session], T]
    ) -> tuple[T, int]:
        """The answer, and the lower bound of when its request began."""
        return await self._queue.call(call_class, route, deadline, lambda session: (request(session), session.began_ms))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _next_page(url: str) -> Callable[[Session], Any]:
    return lambda session: session.salesforce.query_more(url, identifier_is_url=True)


async def _whole(pages: AsyncIterator[Read]) -> Read:
    first = await anext(pages)
    records = list(first.records)
    async for page in pages:
        records.extend(page.records)
    return Read(records, first.r0_ms, first.total)


def _part(part: SubRequest, data_path: str) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "method": part.method,
        "url": f"{data_path}/{part.path}",
        "referenceId": part.reference,
    }
    return whole if part.body is None else {**whole, "body": part.body}


def _raise_first(results: Sequence[SubResult]) -> None:
    """Raise the error of the part that stopped the others; nothing was carried out then."""
    failed = [result for result in results if result.status >= 300]
    if not failed:
        return
    cause = next((result for result in failed if not _halted(result)), failed[0])
    error = answers.error_of(cause.status, cause.body, "GET")
    error.add_note(f"part {cause.reference}")
    raise error


def _halted(result: SubResult) -> bool:
    return isinstance(result.body, list) and all(error.get("errorCode") == _HALTED for error in result.body)
