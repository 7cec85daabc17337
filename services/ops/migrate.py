"""`umbra migrate`: tables by dbmate, topics as `schemas.topics` has them, each topic's epoch.

Safe to run again and by several at once. What differs from the definition is named and left: exit code 1.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

from services.kernel.settings import KafkaSettings, PostgresSettings, at_least, load, setting
from services.ops import schema, topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    postgres: PostgresSettings
    topic_replication: int = setting(
        default=1, doc="Replicas of each topic that migrate creates; 3 on a cluster.", check=at_least(1)
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    applied = await schema.apply(settings.postgres.dsn)
    report = await topics.ensure(
        settings.kafka.bootstrap, settings.postgres.dsn, replication=settings.topic_replication
    )
    if args.json:
        print(
            json.dumps(
                {
                    "ok": not report.differences,
                    "migrations": applied,
                    "topics": report.created,
                    "differences": report.differences,
                }
            )
        )
    else:
        print("\n".join(_lines(applied, report)))
    return 1 if report.differences else 0


def _lines(applied: list[str], report: topics.Report) -> list[str]:
    done = [f"applied {name}" for name in applied] + [f"created topic {name}" for name in report.created]
    return [*done, *(f"differs: {line}" for line in report.differences)] or ["everything is up to date"]
