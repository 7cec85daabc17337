"""What an org remembers: each line of its journal taken back in, and its whole state as lines."""

import sys
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from sandbox.salesforce import journal as lines
from sandbox.salesforce.eventbus import StoredEvent
from sandbox.salesforce.schema import Record

if TYPE_CHECKING:
    from sandbox.salesforce.org import Org


def restore(org: "Org", line: lines.Line) -> None:
    match line:
        case lines.SavedRecord():
            org.database.put(line.object, str(line.record["Id"]), _compact(org, line.object, line.record))
        case lines.SavedCommit():
            _restore_commit(org, line)
        case lines.SavedEvent():
            _restore_event(org, line.event)
        case lines.SavedSchema():
            org.publisher.schemas.setdefault(line.id, line.json)
        case lines.Numbers():
            _restore_numbers(org, line)
        case lines.SavedOddities() | lines.SavedField() | lines.SavedCut():
            _restore_oddity(org, line)


def _compact(org: "Org", object_name: str, record: Record) -> Record:
    """The same record sharing what many records have: who wrote it, picklist values, stamps that are equal."""
    by_name = org.objects[object_name].by_name
    for name, value in record.items():
        if isinstance(value, str) and by_name[name].type in ("picklist", "reference"):
            record[name] = sys.intern(value)
    for name in ("LastModifiedDate", "SystemModstamp"):
        if record.get(name) == record.get("CreatedDate"):
            record[name] = record["CreatedDate"]
    return record


def _restore_commit(org: "Org", line: lines.SavedCommit) -> None:
    for object_name, record in line.records:
        org.database.put(object_name, str(record["Id"]), record)
    for object_name, record_id in line.gone:
        org.database.put(object_name, record_id, None)
    for event in line.events:
        _restore_event(org, event)
    _restore_numbers(org, line.numbers)


def _restore_oddity(org: "Org", line: lines.SavedOddities | lines.SavedField | lines.SavedCut) -> None:
    match line:
        case lines.SavedOddities():
            org.take_on(line.oddities)
        case lines.SavedField():
            org.take_field(line.object, line.field)
        case lines.SavedCut() if line.topic in org.bus.topics:
            org.bus.topics[line.topic].cut(line.through, line.marker)


def _restore_event(org: "Org", event: StoredEvent) -> None:
    if (topic := org.bus.topics.get(event.topic)) is not None:
        topic.append(event)


def _restore_numbers(org: "Org", saved: lines.Numbers) -> None:
    org.counters.ids.update(saved.ids)
    org.counters.order_number = saved.order_number
    org.counters.line_number = saved.line_number
    org.counters.commit_number = saved.commit_number
    org.counters.number_offset = saved.number_offset
    for name, last in saved.topics.items():
        if (topic := org.bus.topics.get(name)) is not None:
            topic.last = max(topic.last, last)


def state(org: "Org") -> Iterator[lines.Line]:
    """Everything, in an order in which it can be taken back in."""
    yield lines.SavedOddities(org.oddities)
    yield from (lines.SavedField(name, field) for name, field in org.added)
    yield numbers(org, {name: topic.last for name, topic in org.bus.topics.items()})
    yield from (lines.SavedSchema(key, text) for key, text in org.publisher.schemas.items())
    for name, table in org.database.tables.items():
        yield from (lines.SavedRecord(name, record) for record in table.records.values())
    entries = chain.from_iterable(topic.entries for topic in org.bus.topics.values())
    yield from (lines.SavedEvent(event) for event in entries)


def numbers(org: "Org", topics: dict[str, int] | None = None) -> lines.Numbers:
    """What the org has given out so far."""
    c = org.counters
    return lines.Numbers(dict(c.ids), c.order_number, c.line_number, c.commit_number, topics or {}, c.number_offset)
