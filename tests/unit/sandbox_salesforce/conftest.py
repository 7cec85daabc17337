"""A planted org for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.salesforce.org import Org
from tests.unit.sandbox_salesforce.orgs import open_planted


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    found, journal = open_planted(tmp_path / "org")
    yield found
    journal.close()
