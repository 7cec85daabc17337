"""Shapes of objects and fields: the one description that REST, SOQL, Bulk and change events are all made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Value: TypeAlias = str | int | float | bool | None
# Sparse: a null is an absent key.  Date-times are epoch milliseconds, dates ISO text, numbers IEEE doubles.
Record: TypeAlias = dict[str, Value]

FieldType: TypeAlias = Literal[
    "id",
    "reference",
    "string",
    "textarea",
    "picklist",
    "phone",
    "url",
    "email",
    "boolean",
    "currency",
    "double",
    "int",
    "datetime",
    "date",
]
TEXT_TYPES = frozenset({"id", "reference", "string", "textarea", "picklist", "phone", "url", "email"})
NUMBER_TYPES = frozenset({"currency", "double", "int"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field.  `event` is its place in change events: "whole", "none", or the compound field it is a part of."""

    name: str
    type: FieldType = "string"
    label: str = ""
    length: int = 255
    required: bool = False
    unique: bool = False  # an external id, compared exactly
    refers_to: str = ""
    default: Value = None
    createable: bool = True
    updateable: bool = True
    derived: str = ""  # "Reference.Field": read from another record, never stored, never in an event
    event: str = "whole"
    part: str = ""  # name inside the compound field
    picklist: tuple[str, ...] = ()

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def relationship(self) -> str:
        """The name that leads to the other record: AccountId -> Account."""
        if not self.refers_to:
            return ""
        return self.name[:-1] + "r" if self.custom else self.name.removesuffix("Id")


@dataclass(frozen=True, slots=True)
class SObject:
    """One object.  `topic` is its change event topic, blank where change data capture is not selected for it."""

    name: str
    prefix: str
    fields: tuple[Field, ...]
    label: str = ""
    plural: str = ""
    topic: str = ""
    undeletable: bool = True
    readonly: bool = False
    indexed: tuple[str, ...] = ()
    by_name: Mapping[str, Field] = field(init=False, repr=False, compare=False)
    by_lower: Mapping[str, Field] = field(init=False, repr=False, compare=False)
    by_relationship: Mapping[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {f.name: f for f in self.fields})
        object.__setattr__(self, "by_lower", {f.name.lower(): f for f in self.fields})
        object.__setattr__(self, "by_relationship", {f.relationship.lower(): f for f in self.fields if f.refers_to})

    def with_field(self, field: Field) -> "SObject":
        """The same object with one more field, before its custom ones, so that their places in events shift."""
        first = next((i for i, f in enumerate(self.fields) if f.custom), len(self.fields) - 1)
        return replace(self, fields=(*self.fields[:first], field, *self.fields[first:]))

    @property
    def unique_fields(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.fields if f.unique)


@dataclass(frozen=True, slots=True)
class PlatformEvent:
    """A platform event: CreatedDate and CreatedById come first in its schema, then these fields."""

    name: str
    fields: tuple[Field, ...]
    label: str = ""

    @property
    def topic(self) -> str:
        return f"/event/{self.name}"
