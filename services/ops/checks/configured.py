"""Whether the Salesforce settings go together, before anything is sent. Reads the files that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.ops.checks.findings import Finding, fail, ok, warn
from services.salesforce.settings import SalesforceSettings

CHECK = "salesforce.settings"
SHARED_HOSTS = ("login.salesforce.com", "test.salesforce.com")
"""Where any org may log in by JWT bearer, and none by client credentials."""
ENDPOINTS = ("api.pubsub.salesforce.com", "api.deu.pubsub.salesforce.com")
_PORTS = (443, 7443)
_LOCAL = ("127.0.0.1", "::1", "localhost")
_READABLE_BY_OTHERS = 0o077


def flow(settings: SalesforceSettings) -> str:
    return "client credentials" if settings.salesforce_client_secret else "JWT bearer"


def login_host(settings: SalesforceSettings) -> str:
    return urlsplit(settings.salesforce_login_url).hostname or ""


def examine(settings: SalesforceSettings) -> list[Finding]:
    """What is wrong with the settings; one ok where nothing is."""
    found = [*_login_url(settings), *_credentials(settings), *_files(settings), *_version(settings), *_pubsub(settings)]
    where = f"{flow(settings)} at {settings.salesforce_login_url}, API {settings.salesforce_api_version}"
    return found or [ok(CHECK, f"{where}, events from {settings.salesforce_pubsub}")]


def _login_url(settings: SalesforceSettings) -> Iterator[Finding]:
    parts, host = urlsplit(settings.salesforce_login_url), login_host(settings)
    if parts.scheme not in {"http", "https"} or not host or parts.path.strip("/") or parts.query:
        yield fail(
            CHECK,
            f"UMBRA_SALESFORCE_LOGIN_URL is {settings.salesforce_login_url!r}",
            "give scheme and host alone, for example https://YOUR_DOMAIN.my.salesforce.com",
        )
    elif parts.scheme == "http" and host not in _LOCAL:
        yield fail(CHECK, "the login URL has no TLS", "begin UMBRA_SALESFORCE_LOGIN_URL with https://")
    elif host in SHARED_HOSTS and settings.salesforce_client_secret:
        yield fail(
            CHECK,
            f"{host} takes no client credentials",
            "set UMBRA_SALESFORCE_LOGIN_URL to the org's My Domain, https://YOUR_DOMAIN.my.salesforce.com "
            "(of a sandbox https://YOUR_DOMAIN--SANDBOX.sandbox.my.salesforce.com); Setup, My Domain shows it",
        )
    elif host.endswith((".lightning.force.com", ".salesforce-setup.com")):
        yield fail(
            CHECK,
            f"{host} is where people work, not where tokens come from",
            "set UMBRA_SALESFORCE_LOGIN_URL to the host that ends in .my.salesforce.com",
        )


def _credentials(settings: SalesforceSettings) -> Iterator[Finding]:
    if settings.salesforce_client_secret and settings.salesforce_private_key_file:
        yield warn(
            CHECK,
            "a client secret and a private key are given, and the secret is used",
            "unset UMBRA_SALESFORCE_CLIENT_SECRET for JWT bearer, or UMBRA_SALESFORCE_PRIVATE_KEY_FILE",
        )
    for name, value in (("ID", settings.salesforce_client_id), ("SECRET", settings.salesforce_client_secret)):
        if re.search(r"\s", value):
            yield fail(CHECK, f"UMBRA_SALESFORCE_CLIENT_{name} has a blank in it", "copy it again, without line breaks")


def _files(settings: SalesforceSettings) -> Iterator[Finding]:
    ca_file, key_file = settings.salesforce_ca_file, settings.salesforce_private_key_file
    if ca_file is not None and not ca_file.is_file():
        yield fail(CHECK, f"there is no {ca_file}", "correct UMBRA_SALESFORCE_CA_FILE, or unset it outside of tests")
    if key_file is not None and not settings.salesforce_client_secret:
        yield from _key(key_file)


def _key(file: Path) -> Iterator[Finding]:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        yield fail(CHECK, f"{file} cannot be read: {error.strerror}", "correct UMBRA_SALESFORCE_PRIVATE_KEY_FILE")
        return
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        yield fail(
            CHECK,
            f"{file} is no RSA private key in PEM without a passphrase",
            "make one: openssl req -x509 -newkey rsa:2048 -nodes -days 730 -subj /CN=umbra -keyout umbra.key "
            "-out umbra.crt; upload umbra.crt to the app",
        )
    elif file.stat().st_mode & _READABLE_BY_OTHERS:
        yield warn(CHECK, f"others on this machine can read {file}", f"chmod 600 {file}")


def _version(settings: SalesforceSettings) -> Iterator[Finding]:
    if not re.fullmatch(r"\d+\.0", settings.salesforce_api_version):
        yield fail(
            CHECK,
            f"{settings.salesforce_api_version!r} is no API version",
            "set UMBRA_SALESFORCE_API_VERSION to a number like 67.0",
        )


def _pubsub(settings: SalesforceSettings) -> Iterator[Finding]:
    host, _, port = settings.salesforce_pubsub.rpartition(":")
    if not host or not port.isdecimal():
        yield fail(
            CHECK,
            f"UMBRA_SALESFORCE_PUBSUB is {settings.salesforce_pubsub!r}",
            f"give host:port: {ENDPOINTS[0]}:7443, or {ENDPOINTS[1]}:7443 to keep events in transit in the EU",
        )
        return
    local = host in _LOCAL
    if settings.salesforce_pubsub_plaintext and not local:
        yield fail(CHECK, "events would come without TLS", "unset UMBRA_SALESFORCE_PUBSUB_PLAINTEXT")
    if not local and (host not in ENDPOINTS or int(port) not in _PORTS):
        yield warn(
            CHECK,
            f"{settings.salesforce_pubsub} is none of Salesforce's Pub/Sub endpoints",
            f"use {ENDPOINTS[0]} or {ENDPOINTS[1]} (EU), port 7443 or 443, unless a proxy of yours is meant",
        )
    elif local and login_host(settings) not in _LOCAL:
        yield fail(
            CHECK,
            f"the login is an org's and the events come from {host}",
            f"set UMBRA_SALESFORCE_PUBSUB to {ENDPOINTS[0]}:7443",
        )
