"""The environment of each process: addresses of this stack over the person's own settings over the stack's wishes."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sandbox.stack import postgres
from sandbox.stack.child import Announcement
from sandbox.stack.ports import HOST
from sandbox.stack.settings import ROOT

ISSUER = "umbra-sandbox"
AUDIENCE = "umbra"
GRACE_SECONDS = "8"

# A person's own UMBRA_ or ENABLE_ setting wins over these.
_WISHES = {
    "ENABLE_SF_SHADOW_READS": "true",
    "UMBRA_STREAM_ENABLED": "true",
    "UMBRA_GRACE_SECONDS": GRACE_SECONDS,
    # The seeded org has two books; with both on sale an order's price would be ambiguous.
    "UMBRA_PRICEBOOK": "Umbra Portal",
}


def base(environ: Mapping[str, str]) -> dict[str, str]:
    """For any Python process: finds the packages, writes its log line by line."""
    path = os.pathsep.join(filter(None, (str(ROOT), environ.get("PYTHONPATH"))))
    return {**_WISHES, **environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def kafka(ports: Mapping[str, int]) -> dict[str, str]:
    return {"UMBRA_KAFKA_BOOTSTRAP": f"{HOST}:{ports['kafka']}"}


def database(ports: Mapping[str, int], role: str) -> dict[str, str]:
    return {"UMBRA_POSTGRES_DSN": f"postgresql://{role}@{HOST}:{ports['postgres']}/{postgres.DATABASE}"}


def valkey(ports: Mapping[str, int]) -> dict[str, str]:
    return {"UMBRA_VALKEY_URL": f"redis://{HOST}:{ports['valkey']}/0"}


def salesforce(org: Announcement) -> dict[str, str]:
    """Client credentials over plaintext: the org is on this machine."""
    return {
        "UMBRA_SALESFORCE_LOGIN_URL": org["http"],
        "UMBRA_SALESFORCE_CLIENT_ID": org["client_id"],
        "UMBRA_SALESFORCE_CLIENT_SECRET": org["client_secret"],
        "UMBRA_SALESFORCE_API_VERSION": org["api_version"],
        "UMBRA_SALESFORCE_PUBSUB": org["grpc"],
        "UMBRA_SALESFORCE_PUBSUB_PLAINTEXT": "true",
    }


def tokens(ports: Mapping[str, int], cursor_key: str) -> dict[str, str]:
    """How gateway and notifier know a caller and sign what they hand out."""
    return {
        "UMBRA_JWKS_URL": f"http://{HOST}:{ports['identity']}/identity/.well-known/jwks.json",
        "UMBRA_JWT_ISSUER": ISSUER,
        "UMBRA_JWT_AUDIENCE": AUDIENCE,
        "UMBRA_CURSOR_KEYS": cursor_key,
    }


def listener(ports: Mapping[str, int], name: str) -> dict[str, str]:
    """Name, public listener where it has one, and admin listener of one process."""
    public = {"UMBRA_HOST": HOST, "UMBRA_PORT": str(ports[name])} if name in ports else {}
    return {
        **public,
        "UMBRA_INSTANCE": name,
        "UMBRA_ADMIN_HOST": HOST,
        "UMBRA_ADMIN_PORT": str(ports[f"{name}-admin"]),
    }
