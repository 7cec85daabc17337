"""Watermarks: the greatest per object, partition and basis; holes that open and close in any order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from schemas.events import Watermark
from services.projector.link import Link
from services.projector.log import Place


class _Until(NamedTuple):
    covered_until: datetime
    job_id: str | None


async def write(link: Link, marks: Iterable[tuple[Place, Watermark]]) -> None:
    said = list(marks)
    if not said:
        return
    await _write_reached(link, said)
    await _write_holes(link, said)
    await _write_closed(link, said)


async def _write_reached(link: Link, marks: list[tuple[Place, Watermark]]) -> None:
    reached: dict[tuple[str, int, str], _Until] = {}
    for place, mark in marks:
        if mark.basis == "hole" or mark.covered_until is None:
            continue
        key = (mark.object, place.partition, mark.basis)
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


async def _write_holes(link: Link, marks: list[tuple[Place, Watermark]]) -> None:
    holes = {
        (mark.object, place.partition, mark.hole_id): mark
        for place, mark in marks
        if mark.basis == "hole" and mark.hole_id is not None
    }
    if holes:
        rows = sorted(holes.items(), key=lambda item: item[0])
        await link.rows(
            "holes_open",
            [key[0] for key, _ in rows],
            [key[1] for key, _ in rows],
            [key[2] for key, _ in rows],
            [mark.hole_from for _, mark in rows],
            [mark.hole_to for _, mark in rows],
            [mark.reason for _, mark in rows],
        )


async def _write_closed(link: Link, marks: list[tuple[Place, Watermark]]) -> None:
    closed = {
        (mark.object, place.partition, hole_id): mark.job_id or mark.basis
        for place, mark in marks
        for hole_id in mark.closes
    }
    if closed:
        rows = sorted(closed.items())
        await link.rows(
            "holes_close",
            [key[0] for key, _ in rows],
            [key[1] for key, _ in rows],
            [key[2] for key, _ in rows],
            [by for _, by in rows],
        )
