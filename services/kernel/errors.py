"""Errors by what the caller does about them: set the record aside, try again, or stop the process."""

from __future__ import annotations


class UmbraError(Exception):
    """Root of Umbra's own errors."""


class Poison(UmbraError):
    """A record that will never be usable: it goes to the dead letters and the stream goes on."""


class Retryable(UmbraError):
    """Something is away or busy: back off and try the same thing again; nothing is lost meanwhile."""


class Fatal(UmbraError):
    """Going on would lose or invent data: the process ends with `exit_code` and the message says what helps."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
