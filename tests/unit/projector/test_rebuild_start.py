"""What a rebuild begins from, and what it takes for gone."""

from __future__ import annotations

import pytest

from schemas import topics, versions
from schemas.events import Watermark
from services.projector.batch import Decoded
from services.projector.engine.guard import Extent
from services.projector.log import LogRecord, Place
from services.projector.rebuild import start
from services.projector.rebuild.start import Job, Mark
from services.projector.replay.spans import Refused

R0 = 1_793_588_645_678
JOB = Job("Product2", "job-1", (R0 - versions.DEFAULT_MARGIN_MS) // 1000 * 1000)
PLACE = Place(topics.PRODUCT.name, 0)


def test_what_the_read_saw_is_not_gone_and_what_is_older_is() -> None:
    read, older = versions.read_version(R0), versions.event_version(JOB.until_ms - 1, 2**62, 999_999)

    assert older < JOB.least < JOB.gone.newer["IsDeleted"] < read
    assert len(JOB.gone.newer["IsDeleted"]) == len(read)


def test_a_partition_begins_where_the_read_can_begin() -> None:
    assert start.begin(PLACE, Extent(5, 90), JOB, 40) == 40
    assert start.begin(PLACE, Extent(0, 90), JOB, 0) == 0


@pytest.mark.parametrize("found", [5, None])
def test_a_partition_that_holds_nothing_older_than_the_read_is_refused(found: int | None) -> None:
    with pytest.raises(Refused, match="umbra backfill --object Product2"):
        start.begin(PLACE, Extent(5, 90), JOB, found)


def test_statuses_begin_with_what_is_there() -> None:
    assert start.begin(Place(topics.ORDER_STATUS.name, 0), Extent(7, 90), None, None) == 7


def test_of_each_object_the_newest_read_counts() -> None:
    newer = JOB._replace(job_id="job-2", until_ms=JOB.until_ms + 1000)

    assert start.starts([JOB, newer], ["Product2"]) == {"Product2": newer}
    with pytest.raises(Refused, match="Account"):
        start.starts([JOB], ["Product2", "Account"])


def test_a_read_is_whole_with_its_start_and_end_in_every_partition() -> None:
    mark = Watermark(object="Product2", basis="full", origin="backfill", phase="start", job_id="job-1")
    other = Watermark(object="Product2", basis="full", origin="backfill", phase="end", job_id="job-0")
    record = LogRecord(PLACE, 0, 0, 0, None, None)

    seen = start.marks([Decoded(record, mark), Decoded(record, other)], {"Product2": JOB})
    whole = {Mark(PLACE.topic, partition, phase) for partition in range(4) for phase in ("start", "end")}

    assert seen == {Mark(PLACE.topic, 0, "start")}
    assert start.missing(whole, {"Product2": JOB}) is None
    assert start.missing(whole - seen, {"Product2": JOB}) == f"the start of job-1 is not in {PLACE.topic}/0"


@pytest.mark.parametrize(
    ("name", "group"), [("sf_pricebook_shadow", "catalog"), ("Product2", "catalog"), ("sf_order_status", "orders")]
)
def test_tables_and_objects_name_what_goes_together(name: str, group: str) -> None:
    assert start.group_of(name).name == group
