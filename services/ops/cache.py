"""`umbra cache clear | verify`: voids cached answers by their tags, never by a flush; compares them with the rows.

clear plans unless told to `--execute`. What is cleared is read again from the rows when it is next asked for.
Exit codes: 0 done (or planned), or every answer agrees; 1 some answer is stale, or a server is away.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from schemas import ids, tags
from schemas import mapping as mappings
from services.gateway.postgres import PostgresAway
from services.kernel import postgres, valkey
from services.kernel.settings import PostgresSettings, ValkeySettings, load, setting
from services.kernel.tagcache import TagCache, family
from services.kernel.valkey import AWAY
from services.ops import cached
from services.ops.cached import Kept, Looked
from services.ops.errors import CommandFailed
from services.ops.words import word

_QUERIES = Path(__file__).with_name("kept.sql")
_POSTGRES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, PostgresAway)
_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    postgres: PostgresSettings
    valkey: ValkeySettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")


@dataclass(frozen=True, slots=True)
class Servers:
    settings: Settings
    pool: Any
    cache: TagCache

    @property
    def kept(self) -> Kept:
        file = self.settings.mapping_file
        return cached.kept(self.pool, self.cache, mappings.load(file), file)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    doing = parser.add_subparsers(dest="doing", metavar="WHAT", required=True)
    clear = word(doing, "clear", "void answers, so that they are read again from the rows")
    which = clear.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every answer")
    which.add_argument("--catalog", action="store_true", help="products, prices and plans")
    which.add_argument("--eligibility", action="store_true", help="every account's eligibility")
    which.add_argument("--sku", metavar="S", help="one product, and the lists that it stands in")
    which.add_argument("--account", metavar="A", help="one account's eligibility and orders")
    clear.add_argument("--execute", action="store_true", help="do it")
    verify = word(doing, "verify", "compare the answers that are kept with the rows")
    verify.add_argument("--sample", type=int, metavar="N", help="look at so many, taken at random (default: all)")


async def run(args: argparse.Namespace) -> int:
    async with _connected(load(Settings, args.environ)) as servers:
        return await (_clear(args, servers) if args.doing == "clear" else _verify(args, servers))


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Servers]:
    redis = valkey.client(settings.valkey, timeout=5.0)
    try:
        async with postgres.pool(settings.postgres, least=0, most=2) as pool:
            yield Servers(settings, pool, TagCache(redis))
    except AWAY as error:
        raise CommandFailed(f"a server does not answer: {type(error).__name__}: {error}") from error
    except _POSTGRES as error:
        raise CommandFailed(f"Postgres does not answer: {type(error).__name__}") from error
    finally:
        await redis.aclose()


async def _clear(args: argparse.Namespace, servers: Servers) -> int:
    named = await _tags(args, servers.pool)
    families = {family(tag) for tag in named}
    kept = Counter([of async for of, _ in servers.kept.listed() if of in families])
    if args.execute:
        lsn = await servers.pool.fetchval("SELECT pg_current_wal_lsn()::text")
        await servers.cache.invalidate(named, lsn)
    document = {"ok": True, "cleared" if args.execute else "plan": named, "kept": dict(sorted(kept.items()))}
    if args.json:
        print(json.dumps(document))
        return 0
    print("\n".join(named))
    print(f"Answers kept, by family: {', '.join(f'{of} {n:,}' for of, n in sorted(kept.items())) or 'none'}.")
    print(
        "Told: what was kept under these tags is void." if args.execute else "Nothing was told. Do it with --execute."
    )
    return 0


async def _tags(args: argparse.Namespace, pool: Any) -> list[str]:
    if args.sku is not None:
        classes = [(None,), *await pool.fetch(postgres.queries(_QUERIES)["classes"], args.sku)]
        return sorted({tag for row in classes for tag in tags.of_product(args.sku, row[0])})
    if args.account is not None:
        account_id = _account(args.account)
        orders = await pool.fetch(postgres.queries(_QUERIES)["orders"], account_id)
        return sorted(
            {tags.eligibility(account_id), tags.orders_of(account_id), *(tags.order(row[0]) for row in orders)}
        )
    whole = {"catalog": tags.CATALOG_ALL, "eligibility": tags.ELIGIBILITY_ALL}
    if args.all:
        return sorted({*whole.values(), tags.ORDER_ALL})
    return [whole["catalog" if args.catalog else "eligibility"]]


def _account(text: str) -> str:
    try:
        return ids.parse(text)
    except ValueError as error:
        raise CommandFailed(str(error), 2) from error


async def _verify(args: argparse.Namespace, servers: Servers) -> int:
    kept = servers.kept
    chosen, total = await _chosen(kept, args.sample)
    looked = [await kept.look(of, key) for of, key in chosen]
    stale = [each for each in looked if each.state == "stale"]
    _print(args, looked, stale, total)
    return 1 if stale else 0


async def _chosen(kept: Kept, most: int | None) -> tuple[list[tuple[str, str]], int]:
    """All keys, or as many at random, and how many there are."""
    found: set[tuple[str, str]] = {each async for each in kept.listed()}
    ordered = sorted(found)
    if most is None or most >= len(ordered):
        return ordered, len(ordered)
    return random.sample(ordered, max(0, most)), len(ordered)


def _print(args: argparse.Namespace, looked: Sequence[Looked], stale: Sequence[Looked], total: int) -> None:
    states = Counter(each.state for each in looked)
    if args.json:
        named = [{"key": each.key, "why": each.detail} for each in stale]
        print(json.dumps({"ok": not stale, "kept": total, "looked_at": len(looked), "states": states, "stale": named}))
        return
    for each in stale[:_SHOWN]:
        print(f"STALE  {each.key}: {each.detail}")
    if len(stale) > _SHOWN:
        print(f"and {len(stale) - _SHOWN:,} more")
    found = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items())) or "none"
    print(f"{len(looked):,} of {total:,} kept answers: {found}")
    if stale:
        print("Clear them with `umbra cache clear`, and find out who did not tell: docs/runbooks/projection.md")
