"""Whether PostgreSQL is reachable, has the schema of this version, and keeps its roles apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from importlib import resources

import asyncpg

from schemas import topics
from services.kernel.settings import PostgresSettings
from services.ops.checks.findings import Finding, fail, ok, warn

PROJECTOR, READER = "umbra_projector", "umbra_reader"
_SECONDS = 10.0
_OLDEST = 150_000
_GRANTS = "make the roles (deploy/postgres/roles.sql), then run the grants at the end of the first migration"
_RIGHTS = """
SELECT r.rolname AS role, bool_and(has_table_privilege(r.oid, c.oid, 'SELECT')) AS reads,
  bool_or(has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) AS writes_any,
  bool_and(has_table_privilege(r.oid, c.oid, 'INSERT') AND has_table_privilege(r.oid, c.oid, 'UPDATE')
    AND has_table_privilege(r.oid, c.oid, 'DELETE')) AS writes_all
FROM pg_roles r CROSS JOIN pg_class c
WHERE r.rolname = ANY($1) AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
  AND c.relname <> 'schema_migrations'
GROUP BY r.rolname
"""


async def examine(settings: PostgresSettings) -> AsyncIterator[Finding]:
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await asyncpg.connect(settings.dsn)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        yield _away(error)
        return
    try:
        for finding in await _examined(connection):
            yield finding
    except asyncpg.PostgresError as error:
        yield fail("postgres.schema", f"it cannot be read: {error}", "umbra migrate, as the owner of the database")
    finally:
        await connection.close()


def _away(error: BaseException) -> Finding:
    detail = f"no connection: {str(error) or type(error).__name__}"
    remedy = "start PostgreSQL, or correct UMBRA_POSTGRES_DSN (postgresql://role:password@host:port/database)"
    return fail("postgres.reachable", detail, remedy)


async def _examined(connection: asyncpg.Connection) -> list[Finding]:
    version, name = connection.get_server_version(), connection.get_settings().server_version
    number = await connection.fetchval("SELECT current_setting('server_version_num')::int")
    reachable = (
        ok("postgres.reachable", f"PostgreSQL {name}")
        if number >= _OLDEST
        else fail("postgres.reachable", f"PostgreSQL {version.major} is too old", "use PostgreSQL 15 or newer")
    )
    applied = await _applied(connection)
    schema = migrations(applied, packaged())
    if schema.level == "FAIL":
        return [reachable, schema]
    epochs = {row["topic"] for row in await connection.fetch("SELECT topic FROM topic_epoch")}
    found = {row["role"]: row for row in await connection.fetch(_RIGHTS, [PROJECTOR, READER])}
    return [reachable, schema, known_topics(epochs), *roles(found)]


async def _applied(connection: asyncpg.Connection) -> set[str]:
    there = await connection.fetchval("SELECT to_regclass('public.schema_migrations') IS NOT NULL")
    if not there:
        return set()
    return {row["version"] for row in await connection.fetch("SELECT version FROM schema_migrations")}


def packaged() -> Sequence[str]:
    """Versions of the migrations that come with this Umbra."""
    files = (resources.files("schemas") / "migrations").iterdir()
    return sorted(file.name.partition("_")[0] for file in files if file.name.endswith(".sql"))


def migrations(applied: Collection[str], known: Sequence[str]) -> Finding:
    check = "postgres.schema"
    missing = [version for version in known if version not in applied]
    if missing:
        return fail(check, f"migrations are not applied: {', '.join(missing)}", "umbra migrate, as the owner")
    newer = sorted(set(applied) - set(known))
    if newer:
        return warn(check, f"it is newer than this Umbra: {', '.join(newer)}", "update this Umbra; old code may run on")
    return ok(check, f"every migration is applied, the newest is {known[-1]}")


def known_topics(epochs: Collection[str]) -> Finding:
    check = "postgres.epochs"
    missing = [topic.name for topic in topics.ALL if topic.name not in epochs]
    if missing:
        return fail(check, f"these topics have no epoch: {', '.join(missing)}", "umbra migrate")
    return ok(check, "every topic has its epoch")


def roles(found: Mapping[str, Mapping[str, bool]]) -> list[Finding]:
    """found: of each role that is there whether it reads all tables, writes any, writes all"""
    check = "postgres.roles"
    said = [
        warn(check, f"there is no role {role}: a service has to log in as one that can do more", _GRANTS)
        for role in (PROJECTOR, READER)
        if role not in found
    ]
    reader, projector = found.get(READER), found.get(PROJECTOR)
    if reader is not None and reader["writes_any"]:
        remedy = (
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public FROM {READER}; and no superuser"
        )
        said.append(fail(check, f"{READER} can write, and only the projector may", remedy))
    if reader is not None and not reader["reads"]:
        said.append(fail(check, f"{READER} cannot read every table", _GRANTS))
    if projector is not None and not projector["writes_all"]:
        said.append(fail(check, f"{PROJECTOR} cannot write every table", _GRANTS))
    return said or [ok(check, f"{PROJECTOR} writes, {READER} only reads")]
