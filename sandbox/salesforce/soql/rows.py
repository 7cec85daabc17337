"""Query results as REST rows (nested relationships, attributes) and as CSV cells."""

from collections.abc import Callable
from typing import Any, TypeAlias

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.schema import Record, SObject
from sandbox.salesforce.soql.paths import Paths
from sandbox.salesforce.soql.tree import Aggregate, Path, Query
from sandbox.salesforce.store import Reads
from sandbox.salesforce.values import to_csv, to_json

Render: TypeAlias = Callable[[Record], dict[str, Any]]


def rest_rows(store: Reads, obj: SObject, select: tuple[Path | Aggregate, ...], base: str) -> Render:
    """A function that shows a record with the selected fields.  `base` is the path of the API version."""
    own: dict[str, Callable[[Record], object]] = {}
    nested: dict[str, list[Path]] = {}
    paths = Paths(store, obj)
    for item in select:
        if isinstance(item, Aggregate):
            raise Refused("MALFORMED_QUERY", "aggregates and fields need GROUP BY")
        path = item[1:] if len(item) > 1 and item[0].lower() == obj.name.lower() else item
        if len(path) > 1:
            nested.setdefault(paths.reference(path[0]).relationship, []).append(path[1:])
            own.setdefault(paths.reference(path[0]).relationship, lambda _: None)
        else:
            field, get = paths.resolve(path)
            own[field.name] = lambda record, field=field, get=get: to_json(field, get(record))  # type: ignore[misc]
    for relationship, inner in nested.items():
        own[relationship] = _follow(store, paths, relationship, tuple(inner), base)

    def render(record: Record) -> dict[str, Any]:
        row: dict[str, Any] = {"attributes": attributes(obj, record, base)}
        row.update((name, show(record)) for name, show in own.items())
        return row

    return render


def _follow(
    store: Reads, paths: Paths, relationship: str, inner: tuple[Path, ...], base: str
) -> Callable[[Record], object]:
    reference = paths.reference(relationship)
    render = rest_rows(store, OBJECTS[reference.refers_to], inner, base)

    def show(record: Record) -> object:
        other = store.get(reference.refers_to, str(record.get(reference.name)))
        return None if other is None else render(other)

    return show


def attributes(obj: SObject, record: Record, base: str) -> dict[str, str]:
    return {"type": obj.name, "url": f"{base}/sobjects/{obj.name}/{record['Id']}"}


def csv_columns(store: Reads, obj: SObject, query: Query) -> tuple[list[str], Callable[[Record], list[str]]]:
    """The header and the cells of a Bulk result.  Raises Refused for what Bulk cannot select."""
    paths = Paths(store, obj)
    names: list[str] = []
    cells: list[Callable[[Record], str]] = []
    for item in query.select:
        if isinstance(item, Aggregate):
            raise Refused("API_ERROR", "Implementation restriction: aggregates are not supported in Bulk Query")
        field, get = paths.resolve(item)
        names.append(".".join([*(_relationships(paths, item)), field.name]))
        cells.append(lambda record, field=field, get=get: to_csv(field, get(record)))  # type: ignore[misc]
    return names, lambda record: [cell(record) for cell in cells]


def _relationships(paths: Paths, path: Path) -> list[str]:
    names: list[str] = []
    if len(path) > 1 and path[0].lower() == paths.obj.name.lower():
        path = path[1:]
    for step in path[:-1]:
        reference = paths.reference(step)
        names.append(reference.relationship)
        paths = Paths(paths.store, OBJECTS[reference.refers_to])
    return names
