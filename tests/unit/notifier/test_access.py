from __future__ import annotations

import pytest

from services.notifier.access import Answer, Owners, decide
from services.notifier.expiry import MARGIN_SECONDS, NOTICE_SECONDS, plan
from tests.unit.notifier.worlds import ACCOUNT, OTHER_ACCOUNT

COVERED = {"applied": 5, "base": 5, "position": 9, "end": 9}


@pytest.mark.parametrize("owner", [None, OTHER_ACCOUNT])
def test_unknown_and_foreign_are_hidden_only_with_proof(owner: str | None) -> None:
    def answer(**changed: int) -> Answer:
        return decide(ACCOUNT, owner, row_exists=owner is not None, **(COVERED | changed))

    assert answer() is Answer.HIDDEN
    assert answer(applied=4) is Answer.UNDECIDED
    assert answer(end=10) is Answer.UNDECIDED


def test_row_without_an_account_is_no_proof() -> None:
    assert decide(ACCOUNT, None, row_exists=True, **COVERED) is Answer.UNDECIDED


def test_owner_is_allowed_whatever_else_is_missing() -> None:
    assert decide(ACCOUNT, ACCOUNT, row_exists=False, applied=0, base=9, position=0, end=9) is Answer.ALLOWED


def test_owners_are_bounded() -> None:
    owners = Owners(most=2)
    for order_id in ("a", "b", "c"):
        owners.learn(order_id, ACCOUNT)

    assert [owners.get(order_id) for order_id in ("a", "b", "c")] == [None, ACCOUNT, ACCOUNT]


@pytest.mark.parametrize("left", [-5.0, 0.0, 1.0, 3.0, 30.0, 61.0, 3600.0])
@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_stream_ends_before_its_token_and_says_so_ahead(left: float, draw: float) -> None:
    when = plan(left, draw)

    assert 0 <= when.notice_in <= when.end_in <= max(0.0, left)
    if left > 120:
        assert left - when.end_in >= MARGIN_SECONDS
        assert when.end_in - when.notice_in == pytest.approx(NOTICE_SECONDS)
