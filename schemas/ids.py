"""Salesforce record ids: 15-character ids are extended, 18-character ids are checked.

The suffix of an 18-character id is a checksum over the case of the first 15 characters, so that the id
survives systems that ignore case. Source: Salesforce object reference, "ID field type".
"""

from __future__ import annotations

from typing import NewType

RecordId = NewType("RecordId", str)
"""An 18-character Salesforce id whose checksum holds."""

_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_BITS = {code: "1" if chr(code).isupper() else "0" for code in range(128)}


def checksum(first15: str) -> str:
    """The three suffix characters of a 15-character id: one per block of five, bit i = character i is A-Z."""
    bits = int(first15.translate(_BITS)[::-1], 2)
    return _SUFFIX[bits & 31] + _SUFFIX[bits >> 5 & 31] + _SUFFIX[bits >> 10]


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
