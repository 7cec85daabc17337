"""`python -m sandbox.salesforce`: opens the org, serves it, prints one line of JSON when it is ready."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.salesforce.bulk_jobs import BulkSettings
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.journal import JournalError
from sandbox.salesforce.org import Behaviour
from sandbox.salesforce.serve import Options, serve
from sandbox.salesforce.usage import Allowances


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.salesforce", description=__doc__)
    add = parser.add_argument
    add("--state-dir", type=Path, required=True, help="where the org lives; a new directory is a new org")
    add(
        "--products",
        type=int,
        default=0,
        help="how many products a new org has, up to 1000000 (at least the written catalog)",
    )
    add("--accounts", type=int, default=0, help="how many accounts a new org has (at least the demo accounts)")
    add("--seed", type=int, default=1, help="what the generated products of a new org are drawn from")
    add("--host", default="127.0.0.1", help="address of all ports but the control port, which is always 127.0.0.1")
    for name in ("http", "https", "grpc", "grpc-tls", "control"):
        add(f"--{name}-port", type=int, default=0, help="0 takes a free one")
    add("--tls-name", action="append", default=[], help="another name the server certificate is good for")
    add("--client-id", help="of a new org's connected app; made up where it is not given")
    add("--client-secret", help="likewise")
    add("--daily-api-calls", type=int, default=100_000, help="the org's daily API allowance")
    add("--daily-events", type=int, default=50_000, help="how many events may be delivered in a day")
    add("--faults", type=Path, help="a JSON file with the faults that are armed from the start")
    add("--keepalive", type=float, default=60.0, help="seconds until a quiet stream gets an empty answer")
    add("--zero-credit", type=float, default=60.0, help="seconds until a stream without credit is closed")
    add("--bulk-delay", type=float, default=0.2, help="seconds a query job stays in each state before it is complete")
    add("--bulk-page-rows", type=int, default=50_000, help="most rows of a result page")
    add("--bulk-restart", choices=("kept", "lost"), default="kept", help="what a restart does to query jobs")
    add(
        "--commit-times",
        choices=("s", "ms"),
        default="s",
        help="resolution of commit timestamps; real orgs send seconds",
    )
    add("--log-level", default="INFO")
    return parser


def parse(argv: Sequence[str]) -> Options:
    """The command line as options; ends the process with 2 when it cannot be."""
    parser = _parser()
    args = parser.parse_args(argv)
    if not 0 <= args.products <= 1_000_000:
        parser.error("--products must be between 0 and 1000000")
    logging.basicConfig(
        level=args.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    return Options(
        state_dir=args.state_dir,
        products=args.products,
        accounts=args.accounts,
        seed=args.seed,
        host=args.host,
        http_port=args.http_port,
        https_port=args.https_port,
        grpc_port=args.grpc_port,
        grpc_tls_port=args.grpc_tls_port,
        control_port=args.control_port,
        tls_names=tuple(args.tls_name),
        client_id=args.client_id,
        client_secret=args.client_secret,
        behaviour=Behaviour(
            whole_seconds=args.commit_times == "s",
            keepalive_s=args.keepalive,
            zero_credit_s=args.zero_credit,
            bulk_delay_s=args.bulk_delay,
        ),
        allowances=Allowances(daily_api_calls=args.daily_api_calls, daily_delivered_events=args.daily_events),
        bulk=BulkSettings(page_rows=args.bulk_page_rows, keep_jobs=args.bulk_restart == "kept"),
        faults=args.faults,
    )


def main() -> int:
    """0 after a stop that was asked for, 1 when something failed, 2 for bad settings."""
    options = parse(sys.argv[1:])
    code = 0
    try:
        asyncio.run(serve(options))
    except* (JournalError, OSError, Refused) as group:
        for error in group.exceptions:
            logging.getLogger("sandbox.salesforce").error("%s", error)
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
