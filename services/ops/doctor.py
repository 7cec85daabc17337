"""`umbra doctor`: checks what Umbra needs of the org and of its servers, and says what to change.

It changes nothing; only --subscribe may cost event deliveries. Exit codes: 0 nothing failed, 1 a check failed,
2 settings are missing or malformed (the sections that have theirs are checked all the same).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from services.kernel import valkey as cache
from services.kernel.settings import KafkaSettings, PostgresSettings, SettingsError, ValkeySettings, load
from services.ops.checks import kafka, org, postgres, valkey
from services.ops.checks.cost import Cost
from services.ops.checks.findings import Finding, fail, failed
from services.ops.checks.org import OrgSettings

BAD_SETTINGS = 2
SECTIONS = ("salesforce", "kafka", "postgres", "valkey")
_WIDTH = 44
_NOWHERE = "redis://127.0.0.1:1/0"
"""Without a Valkey the door goes on alone, as it does while one is away; nobody listens here."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=SECTIONS, action="append", help="check this alone; may be given again")
    parser.add_argument(
        "--subscribe",
        action="store_true",
        help="also subscribe to every topic for a moment: proves the permissions, may cost one delivery for each",
    )


async def run(args: argparse.Namespace) -> int:
    # What the door would log of a refused login or an absent Valkey is said here, with its remedy.
    logging.getLogger("services.salesforce").setLevel(logging.CRITICAL)
    cost = Cost()
    found: list[Finding] = []
    for name in args.only or SECTIONS:
        async with aclosing(_section(name, args, cost)) as findings:
            async for finding in findings:
                found.append(finding)
                if not args.json:
                    sys.stdout.write(finding.line(_WIDTH) + "\n")
                    sys.stdout.flush()
    _print_end(args, found, cost)
    if any(each.level == "FAIL" and each.check.endswith(".settings") for each in found):
        return BAD_SETTINGS
    return 1 if failed(found) else 0


async def _section(name: str, args: argparse.Namespace, cost: Cost) -> AsyncGenerator[Finding, None]:
    try:
        findings = _checks(name, args, cost)
    except SettingsError as error:
        for line in str(error).splitlines():
            remedy = "set it in the environment; docs/operations/configuration.md lists all"
            yield fail(f"{name}.settings", line.rstrip("."), remedy)
        return
    async for finding in findings:
        yield finding


def _checks(name: str, args: argparse.Namespace, cost: Cost) -> AsyncIterator[Finding]:
    """The checks of a section. Raises SettingsError before the first of them."""
    match name:
        case "salesforce":
            return _salesforce(load(OrgSettings, args.environ), args, cost)
        case "kafka":
            return kafka.examine(load(KafkaSettings, args.environ))
        case "postgres":
            return postgres.examine(load(PostgresSettings, args.environ))
        case _:
            return valkey.examine(load(ValkeySettings, args.environ))


async def _salesforce(settings: OrgSettings, args: argparse.Namespace, cost: Cost) -> AsyncIterator[Finding]:
    client = cache.client(ValkeySettings(valkey_url=args.environ.get("UMBRA_VALKEY_URL") or _NOWHERE))
    try:
        async for finding in org.examine(settings, client, cost, subscribe=args.subscribe):
            yield finding
    finally:
        await client.aclose()


def _print_end(args: argparse.Namespace, found: list[Finding], cost: Cost) -> None:
    if args.json:
        document = {
            "ok": not failed(found),
            "findings": [each.document() for each in found],
            "api_calls": cost.calls,
            "logins": cost.logins,
            "deliveries": cost.deliveries,
        }
        sys.stdout.write(json.dumps(document) + "\n")
        return
    levels = ("ok", "warn", "FAIL")
    counts = ", ".join(f"{sum(each.level == level for each in found)} {level}" for level in levels)
    spent = f"{cost.calls} API calls, {cost.logins} logins, {cost.deliveries} event deliveries"
    sys.stdout.write(f"\n{counts}; it cost {spent}\n")
