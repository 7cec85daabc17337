"""Many histories on all cores: `python -m tests.histories --first 0 --count 100000`.

It prints what it ran and every seed that ended wrong; a seed alone repeats its history (`--first SEED --count 1`).
Exit code 1 when any was wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context

from tests.histories.blocks import BLOCK, run_block
from tests.histories.lives import live


def _run(first: int, count: int, processes: int) -> Iterator[tuple[int, Counter[str], list[str]]]:
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(run_block, range(first, first + count, BLOCK))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=100_000, help=f"how many, in blocks of {BLOCK}")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    if args.count < BLOCK:
        for seed in range(args.first, args.first + args.count):
            sys.stdout.write(f"{seed}: {live(seed).faults or 'right'}\n")
        return 0
    began, counts, wrong = time.monotonic(), Counter[str](), 0
    for _, found, faults in _run(args.first, args.count, args.processes):
        counts.update(found)
        wrong += len(faults)
        for fault in faults:
            sys.stdout.write(fault[:400] + "\n")
            sys.stdout.flush()
    last = args.first + -(-args.count // BLOCK) * BLOCK - 1
    sys.stdout.write(
        f"seeds {args.first} to {last}: {wrong} wrong; {time.monotonic() - began:.0f} s, "
        f"{args.processes} processes; {dict(sorted(counts.items()))}\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
