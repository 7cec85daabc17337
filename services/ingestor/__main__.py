"""`python -m services.ingestor`."""

import sys

from services.ingestor.app import run
from services.ingestor.settings import Settings
from services.kernel import lifecycle

if __name__ == "__main__":
    sys.exit(lifecycle.main("ingestor", Settings, run))
