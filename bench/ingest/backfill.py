"""`python -m bench.ingest.backfill [ROWS ...]`: rows per second and peak memory of `umbra backfill`, beside its floor.

One org for each number of rows, one log. Ours is timed from the first page asked for to the last row committed, with
the download and the simulator at work on the same cores; the floor (`floor_backfill.py`) parses and produces only.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench import worlds
from bench.ingest import peers
from bench.worlds import ROOT, Org
from schemas import mapping as mappings
from schemas import topics
from services.ingestor import checkpoints
from services.ingestor.jobs import copying
from services.ingestor.jobs.resume import job_name
from services.kernel.settings import KafkaSettings

OBJECT = "PricebookEntry"
FLOOR_TOPIC = topics.ACCOUNT.name
"""A topic of the same shape, empty: only prices are read."""
RUNS = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows a second of each run, and the most memory that one had."""

    rows: int
    ours: list[float]
    floor: list[float]
    peak_mib: float
    peers: dict[str, list[float]] = field(default_factory=dict)


async def measure(rows: int, runs: int = RUNS, *, beside: bool = False) -> Measured:
    """Floor and ours in turn, against one org of about so many price entries, four to a product; then the peers."""
    ours, floor, peak, count = [], [], 0.0, 0
    async with worlds.org("--products", str(rows // 4)) as org, worlds.log() as log:
        with tempfile.TemporaryDirectory(prefix="umbra-bench-") as pages:
            for run in range(runs):
                count, rate, memory = await _ours({**org.environment, **log})
                ours.append(rate)
                peak = max(peak, memory)
                if run == 0:
                    await _save(org, Path(pages))
                floor.append(await _floor(log, pages))
        others = await asyncio.to_thread(peers.rates, org.said, OBJECT, runs) if beside else {}
    return Measured(count, ours, floor, peak, others)


async def _ours(environment: Mapping[str, str]) -> tuple[int, float, float]:
    """Rows, rows per second, and the peak of memory in MiB."""
    out, kib = await asyncio.to_thread(_run, environment)
    said = json.loads(out)
    assert said["ok"], said
    kafka = KafkaSettings(kafka_bootstrap=environment["UMBRA_KAFKA_BOOTSTRAP"])
    stored = await checkpoints.read(kafka, topics.JOBS_PARTITION, job_name(OBJECT))
    assert stored is not None
    return said["outcomes"][0]["rows"], float(stored.job["rate"]), kib / 1024


def _run(environment: Mapping[str, str]) -> tuple[bytes, int]:
    """What the command printed, and its largest resident set in KiB (Linux)."""
    words = ("-m", "services.ops", "backfill", "--object", OBJECT, "--execute", "--fresh", "--json")
    process = subprocess.Popen(
        (sys.executable, *words),
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT), "UMBRA_STATE_DIR": "/nonexistent"},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return out, usage.ru_maxrss


async def _save(org: Org, pages: Path) -> None:
    """The same result once more, page by page as files."""
    said, http = org.said, org.http
    form = {
        "grant_type": "client_credentials",
        "client_id": said["client_id"],
        "client_secret": said["client_secret"],
    }
    async with http.post(f"{said['http']}/services/oauth2/token", data=form) as answer:
        headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
    jobs = f"{said['http']}/services/data/v{said['api_version']}/jobs/query"
    wanted = {
        "operation": "queryAll",
        "query": copying.select_rows(mappings.load().objects[OBJECT]),
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    async with http.post(jobs, json=wanted, headers=headers) as answer:
        job = f"{jobs}/{(await answer.json())['id']}"
    while (await _json(http, job, headers))["state"] != "JobComplete":  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.2)
    locator, nth = "", 0
    while locator != "null":
        params = {"maxRecords": "20000"} | ({"locator": locator} if locator else {})
        async with http.get(f"{job}/results", params=params, headers=headers) as answer:
            (pages / f"{nth:06d}.csv").write_bytes(await answer.read())
            locator, nth = answer.headers["Sforce-Locator"], nth + 1


async def _json(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> dict[str, str]:
    async with http.get(url, headers=headers) as answer:
        found: dict[str, str] = await answer.json()
        return found


async def _floor(log: Mapping[str, str], pages: str) -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.ingest.floor_backfill", pages, topics.RECORD_TOPICS[OBJECT].name, FLOOR_TOPIC),
        env={**os.environ, **log, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return float(out)


def main() -> None:
    for rows in [int(word) for word in sys.argv[1:]] or [50_000]:
        found = asyncio.run(measure(rows))
        ours, floor = sorted(found.ours)[len(found.ours) // 2], sorted(found.floor)[len(found.floor) // 2]
        print(
            f"{found.rows:>9,} rows  ours {ours:>7,.0f} rows/s  floor {floor:>7,.0f} rows/s  ratio {ours / floor:.2f}"
            f"  peak {found.peak_mib:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
