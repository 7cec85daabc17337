"""When a stream ends for its token's sake: before the token does, not all at one moment, and said ahead. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NOTICE_SECONDS = 60.0
MARGIN_SECONDS = 2.0
"""Least time between a stream's end and its token's: clocks differ a little."""
SPREAD_SECONDS = 20.0
"""Tokens issued together must not end their streams together."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Seconds from now until the notice and until the end."""

    notice_in: float
    end_in: float


def plan(left: float, draw: float) -> Expiry:
    """For a token with `left` seconds to live; `draw` in [0, 1) spreads the ends."""
    early = MARGIN_SECONDS + SPREAD_SECONDS * draw
    end_in = left - early if left > 2 * early else left / 2
    return Expiry(max(0.0, end_in - NOTICE_SECONDS), max(0.0, end_in))
