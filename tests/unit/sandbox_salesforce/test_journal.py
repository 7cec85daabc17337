"""What the org has shown survives its process; what nobody saw does not."""

from pathlib import Path

import pytest

from sandbox.salesforce.journal import Journal, JournalError
from sandbox.salesforce.objects import ACCOUNT
from sandbox.salesforce.org import Org
from tests.unit.sandbox_salesforce.orgs import StillClock, open_planted

_ACCOUNTS = "/data/AccountChangeEvent"


def edit(org: Org, status: str) -> None:
    with org.transaction() as tx:
        tx.update(ACCOUNT, next(iter(org.store.tables["Account"].records)), {"Credit_Status__c": status})


def state(org: Org) -> object:
    return {name: table.records for name, table in org.store.tables.items()}


def test_a_reopened_org_has_the_same_records_events_and_counters(tmp_path: Path) -> None:
    org, journal = open_planted(tmp_path / "org")
    edit(org, "Hold")
    edit(org, "Clear")
    journal.close()

    again, journal = open_planted(tmp_path / "org")
    journal.close()

    assert state(again) == state(org)
    assert again.bus.topics[_ACCOUNTS].entries == org.bus.topics[_ACCOUNTS].entries
    assert again.counters == org.counters


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    org, journal = open_planted(tmp_path / "org")
    edit(org, "Hold")
    last, number = org.bus.topics[_ACCOUNTS].tip(), org.counters.commit_number
    journal.close()

    again, journal = open_planted(tmp_path / "org")
    edit(again, "Clear")
    journal.close()

    assert again.bus.topics[_ACCOUNTS].tip() > last
    assert again.counters.commit_number > number


def test_a_torn_last_line_is_dropped_and_any_other_is_an_error(tmp_path: Path) -> None:
    org, journal = open_planted(tmp_path / "org")
    edit(org, "Hold")
    journal.close()
    whole = journal.path.read_bytes()
    edited = whole.splitlines(keepends=True)
    journal.path.write_bytes(whole + edited[-1][:40])

    again, journal = open_planted(tmp_path / "org")
    journal.close()
    assert state(again) == state(org)

    journal.path.write_bytes(b"".join([edited[0], b"{broken\n", *edited[1:]]))
    with pytest.raises(JournalError, match=r"journal\.jsonl:2"):
        open_planted(tmp_path / "org")


def test_events_older_than_three_days_are_gone_after_a_restart_but_the_tip_stays(tmp_path: Path) -> None:
    clock = StillClock()
    org, journal = open_planted(tmp_path / "org", clock)
    edit(org, "Hold")
    tip = org.bus.topics[_ACCOUNTS].tip()
    journal.close()
    clock.offset_ms = 73 * 3_600_000

    again, journal = open_planted(tmp_path / "org", clock)
    journal.close()

    topic = again.bus.topics[_ACCOUNTS]
    assert not topic.knows(tip)
    assert topic.tip() > tip
    assert topic.after(topic.before_first(), 10) == []


def test_two_processes_cannot_share_a_state_directory(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(JournalError, match="in use"):
        Journal(tmp_path)
    journal.close()
