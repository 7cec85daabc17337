"""Runs a parsed query over the store: which records, in which order; aggregates as rows of values."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.ids import extend
from sandbox.salesforce.objects import find
from sandbox.salesforce.schema import Record, SObject, Value
from sandbox.salesforce.soql.paths import Get, Paths
from sandbox.salesforce.soql.predicate import Test, compile_condition
from sandbox.salesforce.soql.tree import Aggregate, All, Comparison, Condition, Query, Sort
from sandbox.salesforce.store import Reads, ShownTable
from sandbox.salesforce.values import to_json


def target(query: Query) -> SObject:
    """The object a query reads.  Raises Refused (INVALID_TYPE)."""
    obj = find(query.source)
    if obj is None:
        raise Refused("INVALID_TYPE", f"sObject type '{query.source}' is not supported.")
    return obj


def candidates(store: Reads, query: Query) -> list[Record]:
    """A snapshot of the records the filter has to look at: few where an id or an indexed field is named."""
    table = store.tables[target(query).name]
    for part in _conjuncts(query.where):
        found = _by_index(table, part)
        if found is not None:
            return found
    return list(table.records.values())


def test(store: Reads, query: Query, now_ms: int, *, with_deleted: bool) -> Test:
    """The filter of a query, also checking what it selects and sorts by."""
    paths = Paths(store, target(query))
    where = compile_condition(query.where, paths, now_ms) if query.where else None
    if with_deleted:
        return where or (lambda _: True)
    if where is None:
        return lambda record: not record["IsDeleted"]
    return lambda record: not record["IsDeleted"] and where(record)


def select(store: Reads, query: Query, now_ms: int, *, with_deleted: bool) -> list[Record]:
    """The records of a query without aggregates, filtered, sorted and cut."""
    check = test(store, query, now_ms, with_deleted=with_deleted)
    found = [record for record in candidates(store, query) if check(record)]
    return arrange(store, query, found)


def arrange(store: Reads, query: Query, found: list[Record]) -> list[Record]:
    """Sort, offset and limit."""
    if query.order:
        found = _sorted(Paths(store, target(query)), query.order, found)
    end = None if query.limit is None else query.offset + query.limit
    return found[query.offset : end]


def _conjuncts(condition: Condition | None) -> Iterator[Comparison]:
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, All):
        for part in condition.parts:
            yield from _conjuncts(part)


def _by_index(table: ShownTable, comparison: Comparison) -> list[Record] | None:
    if len(comparison.path) != 1 or comparison.operator not in ("=", "IN"):
        return None
    field = table.obj.by_lower.get(comparison.path[0].lower())
    texts = [literal.text for literal in comparison.values if literal.kind == "text"]
    if field is None or len(texts) != len(comparison.values):
        return None
    if field.name == "Id":
        ids = dict.fromkeys(extend(text) or "" for text in texts)
        return [table.records[i] for i in ids if i in table.records]
    if field.type == "reference" and table.can_look_up(field.name):
        wanted = dict.fromkeys(extend(text) or text for text in texts)
        return [record for value in wanted for record in table.where(field.name, value)]
    return None


def _sorted(paths: Paths, order: Iterable[Sort], found: list[Record]) -> list[Record]:
    """Stable sorts from the last key to the first."""
    for sort in reversed(tuple(order)):
        field, get = paths.resolve(sort.path)
        fold = field.type not in ("id", "reference")
        nulls = [r for r in found if get(r) is None]
        rest = [r for r in found if get(r) is not None]
        rest.sort(key=_sort_key(get, fold=fold), reverse=sort.descending)
        found = rest + nulls if sort.nulls_last else nulls + rest
    return found


def _sort_key(get: Get, *, fold: bool) -> Callable[[Record], Any]:
    def key(record: Record) -> Any:
        value = get(record)
        return value.casefold() if fold and isinstance(value, str) else value

    return key


def aggregate(store: Reads, query: Query, now_ms: int, *, with_deleted: bool) -> list[dict[str, Value]]:
    """One row per group, or one in all; each value under its alias."""
    paths = Paths(store, target(query))
    check = test(store, query, now_ms, with_deleted=with_deleted)
    found = [record for record in candidates(store, query) if check(record)]
    groups = _groups(paths, query, found)
    rows = [_row(paths, query, key, records) for key, records in groups.items()]
    end = None if query.limit is None else query.offset + query.limit
    return rows[query.offset : end]


def _groups(paths: Paths, query: Query, found: list[Record]) -> dict[tuple[Value, ...], list[Record]]:
    if not query.group:
        return {(): found}
    gets = [paths.resolve(path)[1] for path in query.group]
    groups: dict[tuple[Value, ...], list[Record]] = {}
    for record in found:
        groups.setdefault(tuple(get(record) for get in gets), []).append(record)
    return groups


def _row(paths: Paths, query: Query, key: tuple[Value, ...], records: list[Record]) -> dict[str, Value]:
    row: dict[str, Value] = {}
    lowered = [tuple(p.lower() for p in path) for path in query.group]
    for item in query.select:
        if isinstance(item, Aggregate):
            row[item.alias] = _aggregate(paths, item, records)
        elif tuple(p.lower() for p in item) in lowered:
            row[paths.resolve(item)[0].name] = key[lowered.index(tuple(p.lower() for p in item))]
        else:
            raise Refused("MALFORMED_QUERY", f"Field must be grouped or aggregated: {'.'.join(item)}")
    return row


def _aggregate(paths: Paths, item: Aggregate, records: list[Record]) -> Value:
    if not item.path:
        return len(records)
    field, get = paths.resolve(item.path)
    values = [value for record in records if (value := get(record)) is not None]
    if item.function == "COUNT":
        return len(values)
    if item.function == "COUNT_DISTINCT":
        return len(set(values))
    if not values:
        return None
    if item.function in ("MIN", "MAX"):
        pick = min if item.function == "MIN" else max
        return to_json(field, pick(values, key=lambda value: value if not isinstance(value, str) else value.casefold()))
    numbers = [float(value) for value in values]
    return sum(numbers) if item.function == "SUM" else sum(numbers) / len(numbers)
