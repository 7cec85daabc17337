"""An id that Salesforce refuses keeps no other from being read, and a request that is wrong is not sent 200 times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from schemas import mapping, versions
from services.ingestor.jobs.means import Means
from services.ingestor.repair import byid
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings
from services.salesforce.errors import BadRequest
from services.salesforce.rest import Rest, Retrieved

MS = 1_767_225_600_000
MAPPING = mapping.load()
PRODUCT = MAPPING.objects["Product2"]
IDS = [f"01t{n:012d}AAA" for n in range(200)]


@dataclass
class Org:
    """Has every record; refuses a call with one of `bad` as a whole."""

    bad: frozenset[str]
    calls: list[int] = field(default_factory=list)

    async def retrieve(self, object_name: str, ids: Sequence[str], fields: Sequence[str], **_: Any) -> Retrieved:
        self.calls.append(len(ids))
        if self.bad.intersection(ids):
            raise BadRequest(400, [{"errorCode": "MALFORMED_ID", "message": "no id"}])
        rows = {each: {"Id": each, "IsDeleted": False, "Name": "Fibre", "IsActive": True} for each in ids}
        return Retrieved(rows, [], MS + len(self.calls))


def means(org: Org) -> Means:
    return Means(
        kafka=KafkaSettings(kafka_bootstrap="nowhere:1"),
        rest=cast(Rest, org),
        bulk=cast(Any, None),
        dsn="",
        statuses=MAPPING.order_status,
        margin_ms=5_000,
        job_seconds=1.0,
        clock=SYSTEM,
    )


async def test_ids_that_salesforce_refuses_are_told_from_those_that_it_has() -> None:
    org = Org(frozenset((IDS[7], IDS[150])))

    told = await byid.read(means(org), PRODUCT, IDS)

    assert told.refused == [IDS[7], IDS[150]]
    assert [change.record_id for change in told.found] == [each for each in IDS if each not in org.bad]
    assert told.calls == len(org.calls) <= 32
    assert told.version == min(change.version for change in told.found) >= versions.read_version(MS, 5_000)


async def test_one_record_that_is_refused_proves_nothing() -> None:
    told = await byid.read(means(Org(frozenset(IDS))), PRODUCT, IDS[:1])

    assert (told.version, told.refused, told.found) == (None, IDS[:1], [])


async def test_request_that_is_wrong_for_every_id_is_given_up_soon() -> None:
    org = Org(frozenset(IDS))

    with pytest.raises(BadRequest):
        await byid.read(means(org), PRODUCT, IDS)

    assert len(org.calls) < 20


async def test_call_that_is_not_refused_is_one_call() -> None:
    org = Org(frozenset())

    told = await byid.read(means(org), PRODUCT, IDS)

    assert (len(told.found), told.calls, org.calls) == (200, 1, [200])
