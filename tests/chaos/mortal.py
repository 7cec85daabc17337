"""An ingestor that dies by its own hand around a commit: `UMBRA_TEST_DIES=POINT:NTH`, NTH counted in commits.

before: every record is acknowledged, the transaction still open; during: the end is asked for and not yet answered;
after: committed, and nobody has been told.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aiokafka import AIOKafkaProducer

from services.ingestor.app import run
from services.ingestor.settings import Settings
from services.kernel import kafka, lifecycle

POINT, _, NTH = os.environ.get("UMBRA_TEST_DIES", "none:0").partition(":")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class MortalProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    commits = 0

    async def commit_transaction(self) -> None:
        MortalProducer.commits += 1
        due = MortalProducer.commits == int(NTH)
        if due and POINT == "before":
            die()
        ending = asyncio.ensure_future(super().commit_transaction())
        if due and POINT == "during":
            await asyncio.sleep(0.001)
            die()
        await ending
        if due:
            die()


if __name__ == "__main__":
    setattr(kafka, "AIOKafkaProducer", MortalProducer)  # noqa: B010 - another's name in that module
    sys.exit(lifecycle.main("ingestor", Settings, run))
