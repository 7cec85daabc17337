"""Metrics: each service declares its own in its `metrics.py` on a registry that it is handed.

Names carry their unit; no label is ever a record id, an account or anything else of a person.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Buckets, in seconds, of what should take milliseconds."""

SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)
"""Buckets, in seconds, of what may wait for Salesforce or for an outage to end."""


def registry() -> CollectorRegistry:
    """A registry of this process's own, with the process's memory and CPU in it."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made


def exposition(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
