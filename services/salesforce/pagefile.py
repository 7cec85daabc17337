"""A page of a Bulk result as a file: loaded whole, counted, then read row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, cast

from services.salesforce.errors import Incomplete
from services.salesforce.session import Session

Row = dict[str, str | None]
"""Field to text; an empty value is null."""
Values = list[str]
"""The values of a row in the order of its page's names; an empty one is null."""

_CHUNK = 1_048_576
_ROW_END = b'"\n'
_IN_MEMORY = 4 * 1024 * 1024
"""Bytes of a page that are kept in memory; a larger one lies on disk."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A loaded page. next_locator: None after the last page. The file is the owner's to close."""

    file: IO[bytes]
    count: int
    next_locator: str | None


def load(session: Session, job_id: str, locator: str | None, most: int) -> PageFile:
    """Load one page. Raises Incomplete when it does not hold as many rows as Salesforce says."""
    asked = {"maxRecords": str(most)} if locator is None else {"maxRecords": str(most), "locator": locator}
    # Its owner closes it; here only a page that is no good is closed.
    file = cast(IO[bytes], SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115
    try:
        headers = session.download(f"jobs/query/{job_id}/results", asked, file)
        said = headers.get("Sforce-NumberOfRecords", "nothing of its")
        # Every value is quoted, so line ends after a quote are rows unless a text holds one: only then parse to count.
        count = _row_ends(file) - 1
        if said != str(count):
            count = sum(1 for _ in values(file)) - 1
        if said != str(count):
            raise Incomplete(f"a page of job {job_id} says {said} records and holds {count}")
    except BaseException:
        file.close()
        raise
    following = headers.get("Sforce-Locator", "null")
    return PageFile(file, count, None if following in ("null", "") else following)


def _row_ends(file: IO[bytes]) -> int:
    """Line ends that follow a quote; the file is left at its end."""
    file.seek(0)
    found, last = 0, b""
    while chunk := file.read(_CHUNK):
        found += chunk.count(_ROW_END) + (last == b'"' and chunk[:1] == b"\n")
        last = chunk[-1:]
    return found


def values(file: IO[bytes]) -> Iterator[Values]:
    """The names, then the values of each row. Raises Incomplete where it is no CSV or a row is cut."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        lines = csv.reader(text, strict=True)
        names = next(lines, [])
        yield names
        wanted = len(names)
        for line in lines:
            if len(line) != wanted:
                raise Incomplete(f"a row has {len(line)} values under {wanted} names")
            yield line
    except (csv.Error, UnicodeDecodeError) as error:
        raise Incomplete(f"a page is no CSV: {error}") from error
    finally:
        # Left attached, the wrapper would close the file, which may be read again.
        if not file.closed:
            text.detach()


def rows(file: IO[bytes]) -> Iterator[Row]:
    """Rows of a page by name, from its beginning. Raises as `values`."""
    lines = values(file)
    names = next(lines)
    for line in lines:
        yield {name: value or None for name, value in zip(names, line, strict=True)}
