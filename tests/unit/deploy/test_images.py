"""An image holds what its service imports: each one starts from the listed folders alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LISTED = dict(line.split(": ", 1) for line in (ROOT / "deploy" / "imports.txt").read_text().splitlines())
COMMANDS = {
    "ops": ["services.ops", "migrate", "--help"],
    "sandbox": ["sandbox.salesforce", "--help"],
}


@pytest.mark.parametrize("service", sorted(LISTED))
def test_service_starts_from_what_its_image_holds(service: str, tmp_path: Path) -> None:
    for name in LISTED[service].split():
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    module = COMMANDS.get(service, [f"services.{service}", "--help"])
    program = f"import sys; sys.path[:] = [p for p in sys.path if p != {str(ROOT)!r}]; import runpy; " + (
        f"sys.argv = {module!r}; runpy.run_module({module[0]!r}, run_name='__main__', alter_sys=True)"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
