"""`python -m sandbox.salesforce.driver --control URL --seed N`: one history on a running sandbox."""

import argparse
import asyncio
import random
import sys

import aiohttp

from sandbox.salesforce.driver import profile
from sandbox.salesforce.driver.history import History
from sandbox.salesforce.driver.remote import connected
from sandbox.salesforce.driver.steps import BEHAVE, Step


async def _play(control: str, seed: int, pause_s: float) -> int:
    rng = random.Random(seed)
    history = History(rng, profile.draw(rng))
    async with aiohttp.ClientSession() as session:
        remote = await connected(session, control)
        count = 0
        for step in history.steps():
            count += await remote.play(step)
            await asyncio.sleep(pause_s)
        await remote.play(Step(BEHAVE, _QUIET))
        sys.stdout.write(f"seed {seed}: {count} steps played, {remote.refused} refused\n")
    return 0


_QUIET = {"late_reads_ms": (0, 0), "late_events_ms": (0, 0), "lose_share": 0.0, "gap_share": 0.0}
"""How the org is left: nothing more gets lost."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.salesforce.driver", description=__doc__)
    parser.add_argument("--control", required=True, help="address of the control endpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two steps, besides the org's time")
    args = parser.parse_args()
    return asyncio.run(_play(args.control, args.seed, args.pause))


if __name__ == "__main__":
    sys.exit(main())
