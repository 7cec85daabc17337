from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.versions import LOWEST_STATUS, Source, StatusVersion, status_version
from services.notifier import cursor as cursors
from services.notifier.content import Content
from services.notifier.cursor import AccountCursor, OrderCursor, Place, Sealer
from tests.unit.notifier.worlds import ACCOUNT, KEYS, ORDER, OTHER_ACCOUNT, OTHER_ORDER

SEALER = Sealer(KEYS, "epoch-1", 4)
OFFSETS = st.integers(0, 2**64 - 1)
SOURCES: st.SearchStrategy[Source] = st.sampled_from(("salesforce", "fulfilment"))
VERSIONS = st.one_of(
    st.just(LOWEST_STATUS),
    st.builds(
        status_version,
        st.integers(0, 10**14 - 1),
        SOURCES,
        st.integers(0, 2**63 - 1),
        st.integers(0, 999_999),
        st.booleans(),
        st.text(max_size=9),
    ),
)
CONTENTS = st.builds(Content.of, st.text(), st.none() | st.text())
CURSORS = st.builds(
    OrderCursor,
    next=OFFSETS,
    version=st.none() | VERSIONS,
    shown=st.none() | CONTENTS,
    terminal=st.booleans(),
    hole=st.booleans(),
    fp=st.integers(0, 65_535),
)
PLAIN = OrderCursor(next=7, version=LOWEST_STATUS, shown=None, terminal=False, hole=False, fp=9)


@given(VERSIONS)
def test_version_survives_packing(version: StatusVersion) -> None:
    assert cursors.is_version(version)
    assert cursors.unpack_version(cursors.pack_version(version)) == version


@given(CURSORS)
def test_order_cursor_comes_back_and_fits_every_client(cursor: OrderCursor) -> None:
    text = SEALER.seal_order(ORDER, ACCOUNT, 3, cursor)

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", text)
    assert SEALER.open_order(text, ORDER, ACCOUNT, 3) == cursor


@given(st.tuples(*[st.builds(Place, OFFSETS, st.integers(0, 65_535))] * 4), st.booleans())
def test_account_cursor_comes_back_and_fits_every_client(places: tuple[Place, ...], hole: bool) -> None:
    cursor = AccountCursor(places, hole)
    text = SEALER.seal_account(ACCOUNT, cursor)

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", text)
    assert SEALER.open_account(text, ACCOUNT) == cursor
    assert SEALER.open_account(text, OTHER_ACCOUNT) is None


@given(CURSORS, st.data())
def test_any_changed_bit_opens_nothing(cursor: OrderCursor, data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SEALER.seal_order(ORDER, ACCOUNT, 3, cursor)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8

    assert SEALER.open_order(base64.urlsafe_b64encode(raw).decode(), ORDER, ACCOUNT, 3) is None


@given(st.text(max_size=150) | st.binary(max_size=110).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_nonsense_opens_nothing(text: str) -> None:
    assert SEALER.open_order(text, ORDER, ACCOUNT, 3) is None
    assert SEALER.open_account(text, ACCOUNT) is None


def test_cursor_is_bound_to_order_account_partition_epoch_and_partition_count() -> None:
    text = SEALER.seal_order(ORDER, ACCOUNT, 3, PLAIN)

    assert SEALER.open_order(text, OTHER_ORDER, ACCOUNT, 3) is None
    assert SEALER.open_order(text, ORDER, OTHER_ACCOUNT, 3) is None
    assert SEALER.open_order(text, ORDER, ACCOUNT, 2) is None
    assert Sealer(KEYS, "epoch-2", 4).open_order(text, ORDER, ACCOUNT, 3) is None
    assert Sealer(KEYS, "epoch-1", 8).open_order(text, ORDER, ACCOUNT, 3) is None
    assert SEALER.open_account(text, ACCOUNT) is None


def test_during_a_rotation_both_keys_open_and_the_first_seals() -> None:
    old, new = "o" * 40, "n" * 40
    rotating = Sealer((new, old), "epoch-1", 4)
    sealed_by_old = Sealer((old,), "epoch-1", 4).seal_order(ORDER, ACCOUNT, 3, PLAIN)

    assert rotating.open_order(sealed_by_old, ORDER, ACCOUNT, 3) == PLAIN
    sealed_again = rotating.seal_order(ORDER, ACCOUNT, 3, PLAIN)
    assert Sealer((new,), "epoch-1", 4).open_order(sealed_again, ORDER, ACCOUNT, 3) == PLAIN
    assert Sealer((new,), "epoch-1", 4).open_order(sealed_by_old, ORDER, ACCOUNT, 3) is None


@pytest.mark.parametrize("bad", ["", "0" * 64, "0" * 66, "x" * 65, "0" * 40 + "2" + "0" * 24, "0" * 41 + "G" * 24])
def test_version_that_a_cursor_cannot_hold_is_known(bad: str) -> None:
    assert not cursors.is_version(bad)


def test_ids_have_one_length_so_that_order_and_account_cannot_run_together() -> None:
    assert len(ids.parse(ORDER)) == len(ACCOUNT) == 18
    assert replace(PLAIN, fp=8) != PLAIN
