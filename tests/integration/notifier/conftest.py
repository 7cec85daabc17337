from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.notifier import world as worlds


@pytest.fixture
async def world(
    kafka_bootstrap: str, postgres_dsn: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[worlds.World]:
    async with worlds.world(kafka_bootstrap, postgres_dsn, valkey_url, tmp_path) as made:
        yield made
