"""One simulator for the tests of this folder that leave it as they found it, or do not care."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.salesforce_sim.simulator import Simulator, running


@pytest.fixture(scope="package")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(tmp_path_factory.mktemp("salesforce") / "org", "--bulk-delay", "0.05") as simulator:
        yield simulator


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "org"
