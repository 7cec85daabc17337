"""`umbra`: everything a person does to an installation.

Exit codes: 0 done, 1 failed, 2 wrong usage or bad settings, 3 no local stack runs; a command may add its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.kernel import logs
from services.kernel.settings import SettingsError
from services.ops import local
from services.ops.commands import COMMANDS, Command
from services.ops.errors import CommandFailed

BAD_SETTINGS = 2


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    command = _named(given)
    module = command.load() if command else None
    parser = _parser(command)
    if module is None or command is None:
        parser.parse_args(given)
        parser.print_help()
        return BAD_SETTINGS
    chosen = parser.get_default("chosen")
    module.add_arguments(chosen)
    args = parser.parse_args(given)
    variables = os.environ if environ is None else environ
    args.environ = local.environment(variables, args.state_dir)
    logs.configure(variables.get("UMBRA_LOG_FORMAT") or "text", variables.get("UMBRA_LOG_LEVEL") or "WARNING")
    try:
        return asyncio.run(module.run(args))
    except SettingsError as error:
        return _fail(args, str(error), BAD_SETTINGS)
    except CommandFailed as error:
        return _fail(args, str(error), error.exit_code)
    except KeyboardInterrupt:
        return 130


def _named(given: Sequence[str]) -> Command | None:
    names = {command.name: command for command in COMMANDS}
    return next((names[word] for word in given[:1] if word in names), None)


def _parser(command: Command | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="umbra", description=__doc__.partition("\n")[0])
    subparsers = parser.add_subparsers(metavar="COMMAND", dest="command")
    for entry in COMMANDS:
        sub = subparsers.add_parser(entry.name, help=entry.summary, description=entry.summary)
        if entry is command:
            _add_common(sub)
            parser.set_defaults(chosen=sub)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for a program instead of text for a person")
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(os.environ.get("UMBRA_STATE_DIR") or local.DEFAULT_STATE_DIR),
        help="where the local stack keeps its state (default: UMBRA_STATE_DIR, else .umbra)",
    )


def _fail(args: argparse.Namespace, why: str, code: int) -> int:
    if args.json:
        sys.stdout.write(json.dumps({"ok": False, "error": why}) + "\n")
    else:
        sys.stderr.write(f"umbra {args.command}: {why}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
