"""What a person sees while a stack comes up, lives and goes down."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TextIO

from sandbox.stack.state import ProcessState, StackState
from sandbox.stack.supervisor import Change

_QUIET = {"starting", "waiting", "skipped"}


class Lines:
    """One line for each change worth seeing."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, change: Change) -> None:
        process = change.process
        if process.state in _QUIET:
            return
        took = f"{change.seconds:5.1f} s" if change.seconds else ""
        self.write(f"  {process.state:<8} {process.name:<12} {took:>7}  {_where(process)}".rstrip())
        if change.detail:
            self.write("".join(f"    {line}\n" for line in change.detail.splitlines()).rstrip("\n"))

    def show_deaths(self, change: Change) -> None:
        """Only what died, for a caller who wants no progress."""
        if change.process.state == "died":
            self.show(change)

    def summary(self, state: StackState, directory: Path) -> None:
        self.write(
            f"\nUmbra is up after {state.started_in:.1f} s. Open\n\n"
            f"  {state.address}   the portal\n"
            f"  {state.control}   the simulated org: edit a price, flip an order's status\n\n"
            f"Logs are in {directory / 'logs'}. Stop it with {_stop(directory)}, or Ctrl-C where it runs in front.\n"
        )

    def write(self, text: str) -> None:
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except OSError:
            # Nobody reads any more, the terminal is closed: the stack goes on, and down in order, without a word.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())


def _where(process: ProcessState) -> str:
    return process.address if process.state == "ready" else ""


def _stop(directory: Path) -> str:
    usual = directory.absolute() == (Path.cwd() / ".umbra").absolute()
    return "`umbra down`" if usual else f"`umbra down --state-dir {directory}`"


class Meter:
    """How far a run over the log is, with its rate and the time left, on one line of a terminal."""

    def __init__(self, what: str, *, shown: bool) -> None:
        self._what = what
        self._shown = shown and sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = 0.0

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")

    def show(self, done: int, left: int) -> None:
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + 0.5
            sys.stderr.write("\r\x1b[K" + meter_line(self._what, done, left, now - self._began))
            sys.stderr.flush()


def meter_line(what: str, done: int, left: int, elapsed: float) -> str:
    """`left` is at most so many: offsets count transaction markers too."""
    share = 100 * done // max(1, done + left)
    rate = done / max(elapsed, 0.001)
    due = "" if done == 0 else f", {span_of(left / max(rate, 0.001))} left"
    return f"{what}  {share:>3} %  {done:,} events, {rate:,.0f} a second{due}"


def span_of(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
