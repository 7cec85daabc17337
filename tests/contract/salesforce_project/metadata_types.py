"""Salesforce's metadata types, read from the definitions that @salesforce/types makes of the Metadata API's WSDL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

_TYPE = re.compile(r"^export type (\w+) = (?:(\w+) & )?\{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
_ENUM = re.compile(r"^export type (\w+) = ('.*');", re.MULTILINE)
_PROPERTY = re.compile(r"^    (\w+)(\??): (\w+)(\[\])?;", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Property:
    type: str
    optional: bool
    many: bool


class MetadataTypes:
    """Says what is wrong with an element of a given type."""

    def __init__(self, definitions: str) -> None:
        self._types = {
            name: (parent, {n: Property(kind, bool(q), bool(m)) for n, q, kind, m in _PROPERTY.findall(body)})
            for name, parent, body in _TYPE.findall(definitions)
        }
        self._enums = {name: set(re.findall(r"'([^']*)'", values)) for name, values in _ENUM.findall(definitions)}

    def faults(self, element: Element, type_name: str, where: str = "") -> Iterator[str]:
        """Unknown, doubled, missing and malformed children of `element`, all the way down."""
        where = where or type_name
        properties = self._properties(type_name)
        names = [child.tag.rpartition("}")[2] for child in element]
        for child, name in zip(element, names, strict=True):
            if name not in properties:
                yield f"{where}: there is no {name} in {type_name}"
                continue
            yield from self._value(child, properties[name].type, f"{where}.{name}")
        for name, wanted in properties.items():
            if names.count(name) > 1 and not wanted.many:
                yield f"{where}: {name} stands twice"
            if name not in names and not wanted.optional and not wanted.many:
                yield f"{where}: {name} is missing"

    def _value(self, element: Element, type_name: str, where: str) -> Iterator[str]:
        text = element.text or ""
        if type_name in self._types:
            yield from self.faults(element, type_name, where)
        elif type_name in self._enums and text not in self._enums[type_name]:
            yield f"{where}: {text} is no {type_name}"
        elif type_name == "boolean" and text not in {"true", "false"}:
            yield f"{where}: {text} is no boolean"
        elif type_name == "number" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
            yield f"{where}: {text} is no number"

    def _properties(self, type_name: str) -> dict[str, Property]:
        parent, own = self._types[type_name]
        return {**(self._properties(parent) if parent else {}), **own}


def load(node_modules: Path) -> MetadataTypes:
    return MetadataTypes((node_modules / "@salesforce/types/lib/metadata.d.ts").read_text(encoding="utf-8"))
