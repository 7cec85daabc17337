"""The calls of the Salesforce section, each of them once; a call that fails is answered with its error."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from simple_salesforce.util import exception_handler

from schemas.events import stamp
from services.salesforce.calls import CallClass, within
from services.salesforce.door import Door
from services.salesforce.errors import SalesforceError, Unavailable
from services.salesforce.session import Session

T = TypeVar("T")

_SECONDS = 20.0
_CLASS = CallClass.INTERACTIVE
"""A person waits for the answer."""


class Asking:
    """What an org can be asked about itself. Every method answers, or returns why it cannot."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def versions(self) -> Sequence[str] | SalesforceError:
        """API versions that the org offers."""
        return await _or_error(self._door.queue.call(_CLASS, "versions", within(_SECONDS), _versions))

    async def organization(self) -> Mapping[str, Any] | SalesforceError:
        found = await self._query("SELECT Id, OrganizationType, IsSandbox FROM Organization")
        return found if isinstance(found, SalesforceError) else dict(found[0]) if found else Unavailable("no row")

    async def describe(self, name: str) -> Mapping[str, Any] | SalesforceError:
        return await _or_error(self._door.rest.describe(name, call_class=_CLASS, deadline=within(_SECONDS)))

    async def members(self) -> Sequence[Mapping[str, Any]] | SalesforceError:
        """Entities selected for change events, of every channel."""
        call = self._door.queue.call(_CLASS, "tooling_query", within(_SECONDS), _members)
        return await _or_error(call)

    async def books(self) -> Sequence[Mapping[str, Any]] | SalesforceError:
        """Active price books."""
        return await self._query("SELECT Id, Name FROM Pricebook2 WHERE IsActive = true LIMIT 200")

    async def limits(self) -> Mapping[str, Any] | SalesforceError:
        return await _or_error(self._door.rest.limits(call_class=_CLASS, deadline=within(_SECONDS)))

    async def changed_since(self, name: str, moment: datetime) -> int | SalesforceError:
        """Records of an object that changed since a moment, deleted ones included."""
        soql = f"SELECT COUNT() FROM {name} WHERE SystemModstamp >= {stamp(moment)}"  # noqa: S608 - a mapped name
        count = await _or_error(
            self._door.rest.count(soql, call_class=_CLASS, deadline=within(_SECONDS), include_deleted=True)
        )
        return count if isinstance(count, SalesforceError) else count.total

    async def _query(self, soql: str) -> Sequence[Mapping[str, Any]] | SalesforceError:
        read = await _or_error(self._door.rest.query(soql, call_class=_CLASS, deadline=within(_SECONDS)))
        return read if isinstance(read, SalesforceError) else read.records


async def _or_error(answer: Awaitable[T]) -> T | SalesforceError:
    try:
        return await answer
    except SalesforceError as error:
        return error


def _versions(session: Session) -> list[str]:
    """Below no version, so simple-salesforce has no method for it; its session is our own wire."""
    client = session.salesforce
    answer = client.session.get(f"https://{client.sf_instance}/services/data", headers=client.headers)
    if answer.status_code != HTTPStatus.OK:
        exception_handler(answer, "versions")
    return [str(each["version"]) for each in answer.json()]


def _members(session: Session) -> Sequence[Mapping[str, Any]]:
    soql = "SELECT SelectedEntity FROM PlatformEventChannelMember"
    answer: Mapping[str, Any] = session.salesforce.restful("tooling/query", params={"q": soql})
    records: Sequence[Mapping[str, Any]] = answer["records"]
    return records
