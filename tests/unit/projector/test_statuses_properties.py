"""The join of statuses: any order of arrival shows what reading the log in version order shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas import versions
from schemas.events import OrderStatus
from services.projector import statuses
from services.projector.statuses import Shown, Statuses

T0 = 1_793_588_645_000


def event(at: int, status: str, reason: str | None, number: int) -> OrderStatus:
    event_id = f"{at}-{status}-{reason}-{number}"
    return OrderStatus(
        id=event_id,
        order_id="801000000000001AAA",
        status=status,
        terminal=status == "Failed",
        reason=reason,
        occurred_at=versions.moment(T0 + at),
        source="salesforce",
        version=versions.status_version(T0 + at, "salesforce", number, 0, status == "Failed", event_id),
    )


EVENTS = st.lists(
    st.builds(
        event,
        st.integers(0, 6),
        st.sampled_from(["Draft", "Activating", "Failed"]),
        st.sampled_from([None, "A", "B"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=8,
)


def told(events: list[OrderStatus]) -> Statuses:
    made = statuses.of_event(events[0])
    for each in events[1:]:
        made = statuses.join(made, statuses.of_event(each))
    return made


def read_in_order(events: list[OrderStatus]) -> Shown:
    """A reader of the log in version order, who keeps the known reason of an unchanged status."""
    shown: Shown | None = None
    for each in sorted(events, key=lambda e: e.version):
        same = shown is not None and shown.status == each.status
        kept = shown.reason if shown is not None and same and each.reason is None else each.reason
        shown = Shown(each.version, each.status, kept)
    assert shown is not None
    return shown


@given(EVENTS, st.randoms(use_true_random=False))
def test_any_order_shows_what_version_order_shows(events: list[OrderStatus], rng: object) -> None:
    shuffled = list(events)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]

    assert told(shuffled).shown() == read_in_order(events)


@given(EVENTS, EVENTS)
def test_the_join_is_commutative_and_idempotent(left: list[OrderStatus], right: list[OrderStatus]) -> None:
    one, other = told(left), told(right)

    assert statuses.join(one, other) == statuses.join(other, one)
    assert statuses.join(one, one) == one


@given(EVENTS, EVENTS, EVENTS)
def test_the_join_is_associative(a: list[OrderStatus], b: list[OrderStatus], c: list[OrderStatus]) -> None:
    x, y, z = told(a), told(b), told(c)

    assert statuses.join(statuses.join(x, y), z) == statuses.join(x, statuses.join(y, z))
