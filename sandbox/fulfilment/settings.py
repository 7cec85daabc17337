"""What the provisioning system is told: addresses from the environment, its habits from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Each has to be set; together they say where everything is.
_ADDRESSES = (
    "UMBRA_KAFKA_BOOTSTRAP",
    "UMBRA_GATEWAY_URL",
    "UMBRA_IDENTITY_URL",
    "UMBRA_SALESFORCE_LOGIN_URL",
    "UMBRA_SALESFORCE_CLIENT_ID",
    "UMBRA_SALESFORCE_CLIENT_SECRET",
)

_OPTIONS = (
    ("--delay", float, "UMBRA_FULFILMENT_DELAY", "1.5", "seconds before each step"),
    ("--fail-every", int, "UMBRA_FULFILMENT_FAIL_EVERY", "0", "one order in so many finds no line; 0 for none"),
    ("--admin-host", str, "UMBRA_ADMIN_HOST", "127.0.0.1", "where the probes listen"),
    ("--admin-port", int, "UMBRA_ADMIN_PORT", "0", "0 takes a free one"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    delay: seconds before each step
    fail_every: one order in so many fails, chosen by its id; 0 for none
    everything: act on orders of any age
    """

    kafka_bootstrap: str
    gateway_url: str
    identity_url: str
    salesforce_login_url: str
    salesforce_client_id: str
    salesforce_client_secret: str
    salesforce_api_version: str
    admin_host: str
    admin_port: int
    delay: float
    fail_every: int
    everything: bool


def parse(argv: Sequence[str] | None, environ: Mapping[str, str]) -> Settings:
    """Ends the process with code 2 when something is missing or malformed, naming all of it."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.fulfilment", description="Plays the provisioning system.")
    # Defaults are text, so that argparse checks what the environment says as it checks an option.
    for option, kind, name, default, meaning in _OPTIONS:
        parser.add_argument(option, type=kind, default=environ.get(name, default), help=f"{meaning} (or {name})")
    parser.add_argument("--all", dest="everything", action="store_true", help="act on orders of any age")
    args = parser.parse_args(argv)
    missing = [name for name in _ADDRESSES if not environ.get(name)]
    if missing:
        parser.error("not set: " + ", ".join(missing))
    return Settings(
        kafka_bootstrap=environ["UMBRA_KAFKA_BOOTSTRAP"],
        gateway_url=environ["UMBRA_GATEWAY_URL"].rstrip("/"),
        identity_url=environ["UMBRA_IDENTITY_URL"].rstrip("/"),
        salesforce_login_url=environ["UMBRA_SALESFORCE_LOGIN_URL"].rstrip("/"),
        salesforce_client_id=environ["UMBRA_SALESFORCE_CLIENT_ID"],
        salesforce_client_secret=environ["UMBRA_SALESFORCE_CLIENT_SECRET"],
        salesforce_api_version=environ.get("UMBRA_SALESFORCE_API_VERSION") or "67.0",
        **vars(args),
    )
