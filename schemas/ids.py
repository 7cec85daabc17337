"""Salesforce record ids: 15-character ids are extended, 18-character ids are checked.

The suffix of an 18-character id is a checksum over the case of the first 15 characters, so that the id
survives systems that ignore case. Source: Salesforce object reference, "ID field type".
"""

from __future__ import annotations

from typing import NewType

RecordId = NewType("RecordId", str)
"""An 18-character Salesforce id whose checksum holds."""

_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def checksum(first15: str) -> str:
    """The three suffix characters of a 15-character id: one per block of five, bit i = character i is A-Z."""
    blocks = (first15[start : start + 5] for start in (0, 5, 10))
    return "".join(_SUFFIX[sum(1 << i for i, c in enumerate(block) if "A" <= c <= "Z")] for block in blocks)


def parse(text: str) -> RecordId:
    """Return the 18-character form of `text`; ValueError names what is wrong with it."""
    if not (text.isascii() and text.isalnum()):
        raise ValueError(f"not a Salesforce id: {text[:24]!r} holds characters other than letters and digits")
    if len(text) == 15:
        return RecordId(text + checksum(text))
    if len(text) != 18:
        raise ValueError(f"not a Salesforce id: {text[:24]!r} has {len(text)} characters, 15 or 18 are needed")
    if text[15:].upper() != checksum(text[:15]):
        raise ValueError(f"not a Salesforce id: the checksum of {text!r} does not hold")
    return RecordId(text[:15] + text[15:].upper())
