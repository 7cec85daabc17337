"""The rows of a finished query job, on disk: a page is read from its place, however many rows there are.

Two files: the rows one after another, and where each of them ends.  Only finished results have the second.
"""

import asyncio
import os
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 18  # bytes read at a time
_END = 8  # bytes of one entry of the index


class Results:
    """The rows of one job.  `header` is the line every page begins with."""

    def __init__(self, folder: Path, job_id: str, header: bytes) -> None:
        self.header = header
        self._rows = folder / f"{job_id}.rows"
        self._index = folder / f"{job_id}.ends"

    @property
    def complete(self) -> bool:
        return self._index.exists()

    @property
    def count(self) -> int:
        return self._index.stat().st_size // _END

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self._rows.stat().st_size

    def write(self) -> "Writing":
        return Writing(self._rows, self._index)

    def remove(self) -> None:
        for path in (self._index, self._rows):
            path.unlink(missing_ok=True)

    def span(self, start: int, count: int) -> tuple[int, int]:
        """First byte and number of bytes of some rows."""
        if count == 0:
            return 0, 0
        with self._index.open("rb") as index:
            begin = _entry(index, start - 1) if start else 0
            return begin, _entry(index, start + count - 1) - begin

    async def chunks(self, begin: int, size: int) -> AsyncIterator[bytes]:
        """The header and those bytes of the rows, a piece at a time."""
        yield self.header
        with self._rows.open("rb") as rows:
            while size > 0 and (chunk := await asyncio.to_thread(os.pread, rows.fileno(), min(size, _CHUNK), begin)):
                begin, size = begin + len(chunk), size - len(chunk)
                yield chunk


def _entry(index: BinaryIO, row: int) -> int:
    return int.from_bytes(os.pread(index.fileno(), _END, row * _END), "little")


class Writing:
    """Takes rows in order; they are results once it is left without an error."""

    def __init__(self, rows: Path, index: Path) -> None:
        self._path = rows
        self._index = index
        self._ends = array("Q")
        self._end = 0

    def __enter__(self) -> "Writing":
        self._file = self._path.open("wb")
        return self

    def add(self, rows: list[bytes]) -> None:
        for row in rows:
            self._end += len(row)
            self._ends.append(self._end)
        self._file.write(b"".join(rows))

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is not None:
            self._path.unlink()
            return
        draft = self._index.with_suffix(".new")
        draft.write_bytes(self._ends.tobytes())
        draft.replace(self._index)
