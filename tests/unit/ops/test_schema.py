"""How dbmate is told which database to migrate."""

from __future__ import annotations

import pytest

from services.ops import schema


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        ("postgresql://umbra@127.0.0.1:15432/umbra", "postgres://umbra@127.0.0.1:15432/umbra?sslmode=disable"),
        ("postgresql://umbra:s%40p@db.example/umbra", "postgres://umbra:s%40p@db.example/umbra"),
        (
            "postgresql://umbra@localhost/umbra?sslmode=require",
            "postgres://umbra@localhost/umbra?sslmode=require",
        ),
        (
            "postgresql://umbra@/umbra?host=/run/postgresql",
            "postgres://umbra@/umbra?socket=/run/postgresql&sslmode=disable",
        ),
    ],
)
def test_dbmate_is_told_of_sockets_and_of_no_tls_on_this_machine_only(dsn: str, url: str) -> None:
    assert schema.dbmate_url(dsn) == url
