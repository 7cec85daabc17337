"""Which internet plans an eligibility admits. The rule is data: a line that carries 10G carries 1G as well. Pure."""

from __future__ import annotations

from dataclasses import dataclass

INTERNET = "Internet"
"""The item class of internet plans."""

ADMITS: dict[str, frozenset[str]] = {
    "Home 1G": frozenset({"Home 1G"}),
    "Home 10G": frozenset({"Home 10G", "Home 1G"}),
    "Apartment 1G": frozenset({"Apartment 1G"}),
}
"""Offering types by eligibility. A value that is not listed admits the offering of its own name."""

REASONS: dict[str | None, str] = {None: "not_checked", "Not Eligible": "not_eligible", "Pending": "pending"}
"""Values that admit nothing, and the code that says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """offerings: the offering types that may be bought; reason: why there are none"""

    offerings: frozenset[str]
    reason: str | None = None


def verdict(eligibility: str | None) -> Verdict:
    if eligibility is None or eligibility in REASONS:
        return Verdict(frozenset(), REASONS[eligibility])
    return Verdict(ADMITS.get(eligibility, frozenset({eligibility})))
