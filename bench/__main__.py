"""`python -m bench NAME [--quick]`: prints a table with floors and peers, and writes `bench/results/NAME.json`."""

from __future__ import annotations

import argparse
import sys

from bench import cost, path, report
from bench.ingest import measuring as ingest
from bench.projector import measuring as projector

SUBJECTS = {"path": path, "cost": cost, "ingest": ingest, "projector": projector}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=sorted(SUBJECTS))
    parser.add_argument("--quick", action="store_true", help="fewer and smaller runs, without peers")
    args = parser.parse_args()
    subject = SUBJECTS[args.name]
    metrics = subject.measure(quick=args.quick)
    print(report.table(metrics))
    report.write(args.name, metrics, subject.PACKAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
