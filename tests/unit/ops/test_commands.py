"""The umbra command: every subcommand can be asked for help, and bad use is told in words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from services.ops import __main__ as umbra
from services.ops import up
from services.ops.commands import COMMANDS
from services.ops.errors import CommandFailed


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        umbra.main([name, "--help"], {})

    assert ending.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_missing_settings_are_all_named_in_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = umbra.main(["migrate", "--json", "--state-dir", str(tmp_path)], {})

    error = json.loads(capsys.readouterr().out)["error"]
    assert code == 2
    assert "UMBRA_KAFKA_BOOTSTRAP" in error
    assert "UMBRA_POSTGRES_DSN" in error


def test_status_without_a_stack_has_its_own_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert umbra.main(["status", "--json", "--state-dir", str(tmp_path)], {}) == 3
    assert json.loads(capsys.readouterr().out) == {"running": False}


def test_command_finds_the_addresses_of_the_local_stack(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nowhere = {"UMBRA_KAFKA_BOOTSTRAP": "127.0.0.1:1", "UMBRA_POSTGRES_DSN": "postgresql://umbra@127.0.0.1:1/umbra"}
    (tmp_path / "state.json").write_text(json.dumps({"phase": "ready", "environment": nowhere}))

    assert umbra.main(["migrate", "--state-dir", str(tmp_path)], {}) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_ports_are_chosen_by_name() -> None:
    assert up.parse_ports(["front=8081", " kafka=9 "]) == {"front": 8081, "kafka": 9}


@pytest.mark.parametrize("word", ["front", "front=", "front=eighty", "front=0", "front=70000"])
def test_port_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(CommandFailed, match="NAME=NUMBER"):
        up.parse_ports([word])


def test_detached_start_passes_its_choices_on() -> None:
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    given = ["--port=front=8081", "--fresh", "--free-ports", "--products=50"]

    args = parser.parse_args(["--detach", *given])

    assert up.own_flags(args) == given


@pytest.mark.parametrize("words", [("dlq", "list"), ("cache", "verify")])
@pytest.mark.parametrize("where", ["before", "after"])
def test_common_flags_are_understood_on_either_side_of_the_second_word(
    words: tuple[str, str], where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = words
    flags = ["--json", "--state-dir", str(tmp_path)]

    umbra.main([first, *flags, second] if where == "before" else [first, second, *flags], {})

    assert "unrecognized" not in capsys.readouterr().err
