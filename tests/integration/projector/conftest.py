"""A stage for the projector: fresh topics, a fresh database, an empty cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.projector.process import Stage, Writer, staged, writer
from tests.support import stack


@pytest.fixture
async def stage(kafka_bootstrap: str, postgres_dsn: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    async with staged(kafka_bootstrap, postgres_dsn, valkey_url, tmp_path) as made:
        yield made


@pytest.fixture
async def log(kafka_bootstrap: str) -> AsyncIterator[Writer]:
    async with writer(kafka_bootstrap) as made:
        yield made
