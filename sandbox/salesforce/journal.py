"""The org's memory across restarts: one append-only file of JSON lines, a line per commit, compacted at start.

A commit is in the file (handed to the operating system) before anyone can see it, so a killed process loses nothing it
has shown.  A torn last line is a commit nobody saw and is dropped; any other broken line is an error.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeAlias

import msgspec

from sandbox.salesforce.eventbus import StoredEvent
from sandbox.salesforce.oddities.settings import Oddities
from sandbox.salesforce.schema import Field, Record


class Numbers(msgspec.Struct, frozen=True, tag="numbers"):
    """What the org has given out so far."""

    ids: dict[str, int]
    order_number: int
    line_number: int
    commit_number: int
    topics: dict[str, int] = {}
    number_offset: int = 0


class SavedRecord(msgspec.Struct, frozen=True, tag="record"):
    object: str
    record: Record


class SavedSchema(msgspec.Struct, frozen=True, tag="schema"):
    """A schema that events in the log were written with."""

    id: str
    json: str


class SavedEvent(msgspec.Struct, frozen=True, tag="event"):
    event: StoredEvent


class SavedCommit(msgspec.Struct, frozen=True, tag="commit"):
    records: list[tuple[str, Record]]
    events: list[StoredEvent]
    numbers: Numbers
    gone: list[tuple[str, str]] = []


class SavedOddities(msgspec.Struct, frozen=True, tag="oddities"):
    oddities: Oddities


class SavedField(msgspec.Struct, frozen=True, tag="field"):
    """A field that the org got while it ran."""

    object: str
    field: Field


class SavedCut(msgspec.Struct, frozen=True, tag="cut"):
    """A topic's log was forgotten up to a position."""

    topic: str
    through: int
    marker: StoredEvent


Line: TypeAlias = Numbers | SavedRecord | SavedSchema | SavedEvent | SavedCommit | SavedOddities | SavedField | SavedCut
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


class JournalError(Exception):
    """The journal cannot be read, or another process has it."""


class Journal:
    """The journal under one state directory, locked for this process."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "journal.jsonl"
        self._lock = (state_dir / "lock").open("w")
        self._file: IO[bytes] | None = None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise JournalError(f"{state_dir} is in use by another process") from None

    def read(self) -> Iterator[Line]:
        """Every line, oldest first; nothing where there is no journal yet."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield _decoder.decode(line)
                except msgspec.DecodeError as error:
                    if not line.endswith(b"\n"):
                        return
                    raise JournalError(f"{self.path}:{number}: {error}") from error

    def rewrite(self, lines: Iterable[Line]) -> None:
        """Replace the file by these lines, whole or not at all, and go on appending to it."""
        self.close_file()
        draft = self.path.with_suffix(".new")
        with draft.open("wb") as file:
            buffer = bytearray()
            for line in lines:
                _encoder.encode_into(line, buffer, -1)
                buffer += b"\n"
                if len(buffer) > 1 << 20:
                    file.write(buffer)
                    buffer.clear()
            file.write(buffer)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        self._file = self.path.open("r+b", buffering=0)

    def append(self, line: Line) -> None:
        """Add a line, whole or not at all.  Raises OSError."""
        assert self._file is not None, "rewrite() opens the file"  # noqa: S101
        rest = memoryview(_encoder.encode(line) + b"\n")
        end = self._file.seek(0, os.SEEK_END)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(end)
            raise

    def close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self.close_file()
        self._lock.close()
