"""HTTP to Salesforce in threads: time-outs, trust, measured answers. The only place that blocks."""

from __future__ import annotations


class Session:
    """What one call may do: one HTTP request, with our token, before its deadline."""
