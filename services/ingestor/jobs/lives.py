"""A job's lives: begun anew while the log's answer is not known, and every failure named in how it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from aiokafka.errors import KafkaError

from services.ingestor.jobs.means import Outcome, Why
from services.ingestor.transactions import Abandoned, Fenced
from services.kernel.errors import Retryable
from services.kernel.retry import Backoff
from services.salesforce.errors import (
    BudgetRefused,
    DeadlinePassed,
    Incomplete,
    LimitExceeded,
    SalesforceError,
)

log = logging.getLogger(__name__)

_LIVES = 5
"""Times that a run begins anew when a transaction's outcome is not known, before it gives up."""


class Mismatch(SalesforceError):
    """What was read is not what SOQL counts before and after it."""


class Unproven(SalesforceError):
    """The job cannot prove what it is for; the message says what can."""


class Living(Protocol):
    async def live(self) -> Outcome:
        """From taking the transactional id to the end. Raises Abandoned, SalesforceError, ValueError, Retryable."""
        ...

    def partial(self, why: Why, reason: str) -> Outcome:
        """How far it came."""
        ...


async def run(job: Living) -> Outcome:
    """COMPLETE, or PARTIAL with why; raises only what is a fault of the program."""
    backoff = Backoff(first=0.5, longest=5.0)
    reason = ""
    for _ in range(_LIVES):
        try:
            return await job.live()
        except Fenced:
            return job.partial("fenced", "another process runs this job")
        except (Abandoned, KafkaError) as error:
            reason = str(error)
            log.warning("a job begins anew", extra={"action": "job_again", "why": reason})
            await asyncio.sleep(backoff.next())
        except ValueError as error:  # a field that does not fit the mapping; the sentence without the value
            return job.partial("mapping", str(error).partition(": ")[0])
        except Retryable as error:
            return job.partial("postgres", str(error))
        except SalesforceError as error:
            return job.partial(why_of(error), f"{type(error).__name__}: {error}")
    return job.partial("log", f"the log does not take it: {reason}")


def why_of(error: SalesforceError) -> Why:
    match error:
        case BudgetRefused():
            return "budget"
        case LimitExceeded():
            return "limit"
        case DeadlinePassed():
            return "deadline"
        case Mismatch() | Incomplete():
            return "mismatch"
        case Unproven():
            return "unproven"
        case _:
            return "salesforce"
