"""What all fronts of the org share."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from sandbox.salesforce.faults.board import Board
from sandbox.salesforce.identity import Identity
from sandbox.salesforce.org import Org
from sandbox.salesforce.pubsub.gate import Gate
from sandbox.salesforce.sessions import Sessions
from sandbox.salesforce.switch import Switch
from sandbox.salesforce.usage import Usage

API_VERSION = "67.0"
OLDEST_VERSION = 31
Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


@dataclass(frozen=True, slots=True)
class Instance:
    """One org as it runs.  `spawn` starts a named task whose failure stops the process."""

    org: Org
    identity: Identity
    login_key: bytes  # public, PEM
    sessions: Sessions
    usage: Usage
    switch: Switch
    state_dir: Path
    spawn: Spawn
    gate: Gate
    faults: Board = field(default_factory=Board)
