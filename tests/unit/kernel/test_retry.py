"""Backoff grows, stays inside its bounds and never hammers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.retry import Backoff


@given(st.floats(0.001, 1), st.floats(1, 60), st.floats(0, 1, exclude_max=True), st.integers(1, 200))
def test_every_wait_is_between_half_its_bound_and_its_bound(first: float, longest: float, drawn: float, n: int) -> None:
    backoff = Backoff(first, longest, draw=lambda: drawn)

    waits = [backoff.next() for _ in range(n)]

    assert all(first / 2 <= wait <= longest for wait in waits)
    assert waits == sorted(waits)


def test_a_success_starts_it_over() -> None:
    backoff = Backoff(1, 60, draw=lambda: 0.0)
    waits = [backoff.next(), backoff.next()]

    backoff.reset()

    assert waits == [0.5, 1.0]
    assert backoff.next() == 0.5
