"""What ends a command with one sentence for the person who ran it."""

from __future__ import annotations

from services.kernel.errors import UmbraError

NOT_RUNNING = 3


class CommandFailed(UmbraError):
    """The command could not do what it was asked; the message says why and what would help."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
