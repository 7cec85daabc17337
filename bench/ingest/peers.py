"""Others who read a Salesforce object whole: rows a second to a pipe, between the first record and the last.

Each as it is published, in an environment of its own; one that cannot be installed has no values.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.contract.salesforce_sim import foreign_clients

_SCRIPTS = Path(foreign_clients.__file__).with_name("foreign")
_LOGIN = ("client_id", "client_secret", "refresh_token")
_START = "2020-01-01T00:00:00Z"


def rates(said: Mapping[str, Any], object_name: str, runs: int) -> dict[str, list[float]]:
    """Of each peer, against the org that said this of itself when it was ready."""
    subjects = {"tap-salesforce (REST)": _tap, "airbyte-source-salesforce (Bulk 2.0)": _airbyte}
    return {name: subject(said, object_name, runs) for name, subject in subjects.items()}


def _tap(said: Mapping[str, Any], object_name: str, runs: int) -> list[float]:
    settings = {"api_type": "REST", "select_fields_by_default": True}
    try:
        python = foreign_clients.environment("clients")
    except AssertionError:
        return []
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as folder:
        config = _config(Path(folder), said, settings)
        command = [str(python), str(_SCRIPTS / "tap.py"), said["http"], "--config", config]
        catalog = json.loads(
            subprocess.run([*command, "--discover"], capture_output=True, text=True, check=True).stdout
        )
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = stream["stream"] == object_name
        chosen = Path(folder) / "catalog.json"
        chosen.write_text(json.dumps(catalog))
        return [_timed([*command, "--properties", str(chosen)]) for _ in range(runs)]


def _airbyte(said: Mapping[str, Any], object_name: str, runs: int) -> list[float]:
    settings = {"auth_type": "Client", "force_use_bulk_api": True}
    try:
        python = foreign_clients.environment("clients-airbyte")
    except AssertionError:
        return []
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as folder:
        config = _config(Path(folder), said, settings)
        command = [str(python), str(_SCRIPTS / "airbyte.py"), said["http"]]
        found = subprocess.run(
            [*command, "discover", "--config", config], capture_output=True, text=True, check=True
        ).stdout
        lines = [json.loads(line) for line in found.splitlines()]
        streams = next(line["catalog"]["streams"] for line in lines if line["type"] == "CATALOG")
        wanted = [_whole(stream) for stream in streams if stream["name"] == object_name]
        chosen = Path(folder) / "catalog.json"
        chosen.write_text(json.dumps({"streams": wanted}))
        return [_timed([*command, "read", "--config", config, "--catalog", str(chosen)]) for _ in range(runs)]


def _whole(stream: dict[str, Any]) -> dict[str, Any]:
    return {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}


def _config(folder: Path, said: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps({**{name: said[name] for name in _LOGIN}, "start_date": _START, **settings}))
    return str(path)


def _timed(command: Sequence[str]) -> float:
    """Records a second, as they come out of the pipe."""
    first = last = 0.0
    count = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b'"RECORD"' in line:
                last = time.monotonic()
                first = first or last
                count += 1
    assert process.returncode == 0, command
    return (count - 1) / (last - first)
