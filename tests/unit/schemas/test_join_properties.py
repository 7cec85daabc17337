"""The join: its laws, and that every order of messages about a record ends as the org did."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import join, versions
from schemas.join import EMPTY, State
from schemas.versions import Version
from tests.support import worlds

_VERSIONS = st.builds(versions.event_version, st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)) | st.builds(
    lambda ms: versions.read_version(ms, 0), st.integers(0, 3)
)
_FIELDS = st.sampled_from(["a", "b", "IsDeleted"])


def _value(field: str, version: Version) -> str:
    """One version stands for one value: that is what makes the join a function."""
    return f"{field}@{version}"


@st.composite
def states(draw: st.DrawFn) -> State:
    base = draw(st.none() | _VERSIONS)
    own = draw(st.dictionaries(_FIELDS, _VERSIONS))
    shared = draw(st.sets(_FIELDS)) if base else set()
    held = {**({} if base is None else dict.fromkeys(shared, base)), **own}
    return State(
        payload={field: _value(field, version) for field, version in held.items()},
        base=base,
        newer={field: version for field, version in held.items() if version != base},
        dirty=draw(st.none() | _VERSIONS),
    )


@given(states(), states())
def test_join_is_commutative(left: State, right: State) -> None:
    assert join.join(left, right) == join.join(right, left)


@given(states(), states(), states())
def test_join_is_associative(a: State, b: State, c: State) -> None:
    assert join.join(join.join(a, b), c) == join.join(a, join.join(b, c))


@given(states(), states())
def test_join_is_idempotent(old: State, new: State) -> None:
    once = join.join(old, new)

    assert join.join(once, new) == once
    assert join.join(once, old) == once


@given(states())
def test_nothing_known_is_the_neutral_element(state: State) -> None:
    assert join.join(EMPTY, state) == state


@given(states(), states())
def test_a_state_moves_exactly_when_joining_changes_it(old: State, new: State) -> None:
    assert join.moves(old, new) == (join.join(old, new) != old)


@given(states(), states())
def test_no_version_ever_decreases(old: State, new: State) -> None:
    joined = join.join(old, new)

    for field in old.payload:
        before, after = old.version(field), joined.version(field)
        assert before is not None
        assert after is not None
        assert after >= before


def _wrong(world: worlds.World) -> bool:
    """Whether the joined messages of a world differ from what the org ended with."""
    state = join.join_all(join.state_of(message) for message in world.messages)
    if state.alive != world.alive:
        return True
    return world.alive and {k: v for k, v in state.payload.items() if k != join.ALIVE} != world.values


@pytest.mark.parametrize("block", range(8))
def test_any_order_of_messages_ends_as_the_org(block: int) -> None:
    seeds = range(block * 2_500, (block + 1) * 2_500)

    wrong = [seed for seed in seeds if _wrong(worlds.make(random.Random(seed)))]

    assert wrong == []


def _no_floor(began_ms: int) -> Version:
    at = began_ms - worlds.MARGIN
    return Version(f"{at:014d}0{began_ms:019d}000000")


def _read_wins_ties(began_ms: int) -> Version:
    return Version(worlds.read_version(began_ms)[:14] + "2" + f"{began_ms:019d}000000")


def _by_its_end(began_ms: int) -> Version:
    return versions.read_version(began_ms + 20_000, worlds.MARGIN)


def _no_margin(began_ms: int) -> Version:
    return versions.read_version(began_ms, 0)


def _number_before_time(commit: worlds.Commit) -> Version:
    return Version(f"{commit.number:019d}1{commit.reported_ms:014d}000001")


def _time_alone(commit: worlds.Commit) -> Version:
    return versions.event_version(commit.reported_ms, 0, 0)


@pytest.mark.parametrize("rule", [_no_floor, _read_wins_ties, _by_its_end, _no_margin])
def test_a_wrong_version_of_reads_is_caught(rule: Callable[[int], Version]) -> None:
    caught = any(
        _wrong(worlds.make(random.Random(seed), most_commits=2, version_of_read=rule)) for seed in range(30_000)
    )

    assert caught


@pytest.mark.parametrize("rule", [_number_before_time, _time_alone])
def test_a_wrong_version_of_events_is_caught(rule: Callable[[worlds.Commit], Version]) -> None:
    caught = any(_wrong(worlds.make(random.Random(seed), version_of_event=rule)) for seed in range(30_000))

    assert caught


settings.register_profile("ci", deadline=None, derandomize=True, max_examples=300)
settings.load_profile("ci")
