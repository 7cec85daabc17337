"""`umbra doctor`: checks what Umbra needs of the org and of its servers, and says what to change.

It changes nothing and costs no event delivery. Exit codes: 0 nothing failed, 1 a check failed, 2 settings are missing
or malformed (the sections that have theirs are checked all the same).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from prometheus_client import CollectorRegistry

from services.kernel import valkey as cache
from services.kernel.settings import KafkaSettings, PostgresSettings, SettingsError, ValkeySettings, load
from services.ops.checks import kafka, org, postgres, valkey
from services.ops.checks.findings import Finding, fail, failed
from services.ops.checks.org import OrgSettings

BAD_SETTINGS = 2
SECTIONS = ("salesforce", "kafka", "postgres", "valkey")
_WIDTH = 44
_NOWHERE = "redis://127.0.0.1:1/0"
"""Without a Valkey the door goes on alone, as it does while one is away; nobody listens here."""
_REQUESTS = "salesforce_requests_total"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=SECTIONS, action="append", help="check this alone; may be given again")


async def run(args: argparse.Namespace) -> int:
    # What the door would log of a refused login or an absent Valkey is said here, with its remedy.
    logging.getLogger("services.salesforce").setLevel(logging.CRITICAL)
    registry = CollectorRegistry()
    found: list[Finding] = []
    for name in args.only or SECTIONS:
        async with aclosing(_section(name, args.environ, registry)) as findings:
            async for finding in findings:
                found.append(finding)
                if not args.json:
                    sys.stdout.write(finding.line(_WIDTH) + "\n")
                    sys.stdout.flush()
    return _end(args, found, registry)


async def _section(name: str, environ: Mapping[str, str], registry: CollectorRegistry) -> AsyncGenerator[Finding, None]:
    try:
        findings = _checks(name, environ, registry)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield fail(
                f"{name}.settings", line, "set it in the environment; docs/operations/configuration.md lists all"
            )
        return
    async for finding in findings:
        yield finding


def _checks(name: str, environ: Mapping[str, str], registry: CollectorRegistry) -> AsyncIterator[Finding]:
    """The checks of a section. Raises SettingsError before the first of them."""
    match name:
        case "salesforce":
            return _salesforce(load(OrgSettings, environ), environ, registry)
        case "kafka":
            return kafka.examine(load(KafkaSettings, environ))
        case "postgres":
            return postgres.examine(load(PostgresSettings, environ))
        case _:
            return valkey.examine(load(ValkeySettings, environ))


async def _salesforce(
    settings: OrgSettings, environ: Mapping[str, str], registry: CollectorRegistry
) -> AsyncIterator[Finding]:
    url = environ.get("UMBRA_VALKEY_URL") or _NOWHERE
    client = cache.client(ValkeySettings(valkey_url=url))
    try:
        async for finding in org.examine(settings, client, registry):
            yield finding
    finally:
        await client.aclose()


def _end(args: argparse.Namespace, found: list[Finding], registry: CollectorRegistry) -> int:
    spent, logins = _spent(registry)
    levels = {level: sum(each.level == level for each in found) for level in ("ok", "warn", "FAIL")}
    if args.json:
        document = {
            "ok": not failed(found),
            "findings": [each.document() for each in found],
            "api_calls": spent,
            "logins": logins,
        }
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        counts = ", ".join(f"{count} {level}" for level, count in levels.items())
        sys.stdout.write(f"\n{counts}; it cost {spent} API calls, {logins} logins and no event delivery\n")
    if any(each.level == "FAIL" and each.check.endswith(".settings") for each in found):
        return BAD_SETTINGS
    return 1 if failed(found) else 0


def _spent(registry: CollectorRegistry) -> tuple[int, int]:
    """API calls and logins, every try of them."""
    calls = logins = 0
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == _REQUESTS:
                logins += int(sample.value) if sample.labels["route"] == "login" else 0
                calls += int(sample.value) if sample.labels["route"] != "login" else 0
    return calls, logins
