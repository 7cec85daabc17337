"""A full read with its anti-join: all that Salesforce has, and what it has no longer (docs/adr/0010).

The one read that finds hard deletes, derived values and what changed without a stamp. It has to come more often than
the log forgets, for only with a complete one in it can the log rebuild everything.
"""

from __future__ import annotations

from schemas.mapping import ObjectMapping
from services.ingestor.jobs import backfill
from services.ingestor.jobs.means import Means, Outcome, Watch


async def run(means: Means, mapping: ObjectMapping, watch: Watch) -> Outcome:
    """Go on with the object's unfinished full read, or start one. It shares the backfill's transactional id."""
    return await backfill.run(means, mapping, watch, anti_join=True)
