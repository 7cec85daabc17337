"""A distribution is the histogram that prometheus_client would have made of the same values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from services.kernel import metrics
from services.kernel.metrics import FAST, Distribution

_VALUES = st.lists(st.one_of(st.sampled_from(FAST), st.floats(0, 20)), max_size=30)


@given(st.lists(st.tuples(st.sampled_from(("a", "b")), _VALUES), max_size=5))
def test_it_says_what_a_histogram_says_of_the_same_values(batches: list[tuple[str, list[float]]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    made = Distribution("x_seconds", "Of x.", ("topic",), buckets=FAST, registry=ours)
    known = Histogram("x_seconds", "Of x.", ("topic",), buckets=FAST, registry=theirs)
    for topic, values in batches:
        made.observe(values, topic)
        for value in values:
            known.labels(topic).observe(value)
        known.labels(topic)

    assert _numbers(ours) == _numbers(theirs)


def _numbers(registry: CollectorRegistry) -> dict[str, float]:
    """Samples by name and labels; sums to six places, for they are added in another order."""
    lines = metrics.exposition(registry).decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#") and "_created" not in line)
    return {name: round(float(value), 6) for name, _, value in samples}
