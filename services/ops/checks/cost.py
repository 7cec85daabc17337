"""What a look at the org has cost of its allowances."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

_REQUESTS, _LOGIN = "salesforce_requests_total", "login"


@dataclass(slots=True)
class Cost:
    """registry: where the door counts its requests, every try; deliveries: events that came"""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    deliveries: int = 0

    @property
    def calls(self) -> int:
        return sum(count for route, count in self._requests() if route != _LOGIN)

    @property
    def logins(self) -> int:
        return sum(count for route, count in self._requests() if route == _LOGIN)

    def _requests(self) -> list[tuple[str, int]]:
        samples = (sample for family in self.registry.collect() for sample in family.samples)
        return [(each.labels["route"], int(each.value)) for each in samples if each.name == _REQUESTS]
