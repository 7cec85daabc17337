"""Long texts as unified diffs.  Source: Change Data Capture guide, "Sending Data Differences for Fields"."""

import difflib
import hashlib

from sandbox.salesforce.schema import Value

LEAST_LENGTH = 1_000
_MOST_LENGTH_CHANGE = 0.5
_MOST_LINES_CHANGED = 0.25


def diff(old: Value, new: Value) -> str | None:
    """What is sent in place of the new text; None where the text itself is."""
    if not isinstance(old, str) or not isinstance(new, str) or len(new) < LEAST_LENGTH or len(old) < LEAST_LENGTH:
        return None
    if abs(len(new) - len(old)) > _MOST_LENGTH_CHANGE * len(old):
        return None
    before, after = old.splitlines(), new.splitlines()
    lines = list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
    changed = sum(line.startswith(("+", "-")) for line in lines)
    text = "\n".join(["--- ", f"+++ {hashlib.sha256(new.encode()).hexdigest()}", *lines])
    if changed > 2 * _MOST_LINES_CHANGED * max(len(before), 1) or len(text) >= len(new):
        return None
    return text
