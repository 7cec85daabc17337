"""Date literals of the query language as half-open ranges of milliseconds in UTC, the org's zone."""

from datetime import UTC, datetime, timedelta

from sandbox.salesforce.values import instant_ms

_DAY_MS = 86_400_000


def literal_range(text: str, now_ms: int) -> tuple[int, int] | None:
    """[start, end) of TODAY, LAST_N_DAYS:7 and the like, or None for a word that is none."""
    today = now_ms - now_ms % _DAY_MS
    name, _, digits = text.partition(":")
    count = int(digits) if digits else 0
    spans = {
        "YESTERDAY": (-1, 0),
        "TODAY": (0, 1),
        "TOMORROW": (1, 2),
        "LAST_N_DAYS": (-count, 1),
        "NEXT_N_DAYS": (1, count + 1),
        "N_DAYS_AGO": (-count, -count + 1),
    }
    if name in spans:
        first, last = spans[name]
        return today + first * _DAY_MS, today + last * _DAY_MS
    if name == "THIS_MONTH":
        start = datetime.fromtimestamp(now_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (start + timedelta(days=32)).replace(day=1)
        return round(start.timestamp() * 1000), round(following.timestamp() * 1000)
    return None


def day_range(text: str) -> tuple[int, int]:
    """[start, end) of a date.  Raises ValueError."""
    start = instant_ms(f"{text}T00:00:00+00:00")
    return start, start + _DAY_MS
