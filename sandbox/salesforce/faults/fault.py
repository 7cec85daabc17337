"""What every fault has in common: whom it meets, how often, and whether chance decides."""

from fnmatch import fnmatchcase
from typing import Annotated, TypeAlias

import msgspec

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="fault"
):
    """One fault as `POST /faults` takes it; its subclasses add what is particular to them.

    match: a glob over the subject: a topic for Pub/Sub, "GET /query" for HTTP, an object for Bulk
    count: how many times it happens; without one until it is taken off
    skip: how many matching ones pass before the first
    probability: the chance of each, drawn from `seed`, so that a run can be repeated
    """

    match: str = "*"
    count: Positive | None = None
    skip: Natural = 0
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seed: int = 0

    def concerns(self, subjects: tuple[str, ...]) -> bool:
        return any(fnmatchcase(subject, self.match) for subject in subjects)


COMMON_FIELDS = frozenset(Fault.__struct_fields__)
