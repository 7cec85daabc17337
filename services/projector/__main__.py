"""`python -m services.projector`"""

from __future__ import annotations

import logging
import os
import sys
import threading

from services.kernel import lifecycle
from services.projector.app import run
from services.projector.settings import Settings

if __name__ == "__main__":
    code = lifecycle.main("projector", Settings, run)
    # A thread of Faust that hangs in a dead connection must not keep the process from ending.
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(code)
    sys.exit(code)
