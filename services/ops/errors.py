"""What ends a command with exit code 1 and one sentence for the person who ran it."""

from __future__ import annotations


class CommandFailed(Exception):
    """The command could not do what it was asked; the message says why and what would help."""
