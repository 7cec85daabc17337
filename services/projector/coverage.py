"""Watermarks: the greatest per object, partition and basis; the ledger's spans; holes, open and closed in any order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from schemas.events import Watermark
from services.projector import spans
from services.projector.link import Link
from services.projector.log import Place


class _Until(NamedTuple):
    covered_until: datetime
    job_id: str | None


async def write(link: Link, marks: Iterable[tuple[Place, Watermark]]) -> None:
    said = [(place.partition, mark) for place, mark in marks]
    if not said:
        return
    await _write_reached(link, said)
    await _write_spans(link, said)
    await _write_holes(link, said)
    await _write_closed(link, said)


async def _write_reached(link: Link, marks: list[tuple[int, Watermark]]) -> None:
    reached: dict[tuple[str, int, str], _Until] = {}
    for partition, mark in marks:
        if mark.basis == "hole" or mark.covered_until is None:
            continue
        key = (mark.object, partition, mark.basis)
        new = _Until(mark.covered_until, mark.job_id)
        if key not in reached or reached[key].covered_until < new.covered_until:
            reached[key] = new
    if reached:
        rows = sorted(reached.items())
        await link.rows(
            "coverage_write",
            [key[0] for key, _ in rows],
            [key[1] for key, _ in rows],
            [key[2] for key, _ in rows],
            [until.covered_until for _, until in rows],
            [until.job_id for _, until in rows],
        )


async def _write_spans(link: Link, marks: list[tuple[int, Watermark]]) -> None:
    made = spans.fold(marks)
    if made:
        await link.rows(
            "spans_write",
            [key.object for key in made],
            [key.partition for key in made],
            [key.basis for key in made],
            [key.covered_from for key in made],
            [key.job_id for key in made],
            [span.last.until for span in made.values()],
            [span.last.replay_id for span in made.values()],
            [span.first.until for span in made.values()],
            [span.first.replay_id for span in made.values()],
        )


async def _write_holes(link: Link, marks: list[tuple[int, Watermark]]) -> None:
    opened = spans.holes(marks)
    if opened:
        await link.rows(
            "holes_open",
            [key.object for key in opened],
            [key.partition for key in opened],
            [key.hole_id for key in opened],
            [hole.since for hole in opened.values()],
            [hole.until for hole in opened.values()],
            [hole.reason for hole in opened.values()],
        )


async def _write_closed(link: Link, marks: list[tuple[int, Watermark]]) -> None:
    closed = spans.closed(marks)
    if closed:
        await link.rows(
            "holes_close",
            [key.hole.object for key in closed],
            [key.hole.partition for key in closed],
            [key.hole.hole_id for key in closed],
            [key.by for key in closed],
            list(closed.values()),
        )
