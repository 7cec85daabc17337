"""Run the tests by level: `python -m tests [unit|contract|integration|e2e|all|long]`."""

from __future__ import annotations

import subprocess
import sys

LEVELS = {
    "unit": ["tests/unit", "tests/histories", "-m", "not long"],
    "contract": ["tests/contract", "-m", "not long"],
    "integration": ["tests/integration", "-m", "not long"],
    "e2e": ["tests/e2e", "tests/chaos", "-m", "not long"],
    "all": ["tests", "-m", "not long"],
    "long": ["tests"],
}


def main() -> int:
    level, *rest = sys.argv[1:] or ["all"]
    if level not in LEVELS:
        sys.stderr.write(f"LEVEL={level} is none of {', '.join(LEVELS)}\n")
        return 2
    return subprocess.call([sys.executable, "-m", "pytest", *LEVELS[level], *rest])


if __name__ == "__main__":
    sys.exit(main())
