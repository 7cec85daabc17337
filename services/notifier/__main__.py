"""python -m services.notifier"""

from __future__ import annotations

import sys

from services.kernel import lifecycle
from services.notifier.app import run
from services.notifier.settings import Settings

if __name__ == "__main__":
    sys.exit(lifecycle.main("notifier", Settings, run))
