"""python -m services.gateway"""

from __future__ import annotations

import sys

from services.gateway.app import run
from services.gateway.settings import Settings
from services.kernel import lifecycle

if __name__ == "__main__":
    sys.exit(lifecycle.main("gateway", Settings, run))
