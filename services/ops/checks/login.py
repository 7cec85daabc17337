"""Why a login failed, and what to change where. Pure but for `drift`, which asks the org for the time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import requests

from services.ops.checks import configured
from services.ops.checks.findings import Finding, fail, ok, warn
from services.salesforce.calls import within
from services.salesforce.errors import Refused, SalesforceError
from services.salesforce.login import Token
from services.salesforce.settings import SalesforceSettings
from services.salesforce.transport import Transport, Wire

CHECK = "salesforce.login"
CLOCK = "salesforce.clock"
_APP = "Setup, External Client App Manager, the app"
_SECONDS = 10.0
TOLERATED = 5.0
"""Seconds of difference that nobody needs to care for: `Date` is cut to the second."""
BROKEN = 120.0
"""Seconds of difference from which a signed login may be refused: an assertion lives for 180."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """codes, words: of Salesforce's refusal; one of each that is given has to occur"""

    detail: str
    remedy: str
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def fits(self, code: str, text: str) -> bool:
        return (not self.codes or code in self.codes) and (not self.words or any(w in text for w in self.words))


_CAUSES = (
    _Cause(
        "this host takes no such login",
        "set UMBRA_SALESFORCE_LOGIN_URL to the org's My Domain, https://YOUR_DOMAIN.my.salesforce.com",
        words=("not supported on this domain",),
    ),
    _Cause(
        "client credentials have no user to run as",
        f"{_APP}, Policies, OAuth Policies: enable the client credentials flow and name the integration user (Run As)",
        words=("no client credentials user",),
    ),
    _Cause(
        "the app does not allow this flow",
        f"{_APP}, Settings, OAuth Settings, Flow Enablement: enable the client credentials flow, or JWT bearer with "
        "the certificate of UMBRA_SALESFORCE_PRIVATE_KEY_FILE",
        words=("flow not enabled", "grant type not supported"),
    ),
    _Cause(
        "the user is not approved for the app, or there is no such user in this org",
        "check UMBRA_SALESFORCE_USERNAME (a user name, with the sandbox's suffix in a sandbox); then "
        f'{_APP}, Policies: permitted users "Admin approved users are pre-authorized", and select the permission set '
        "Umbra_Integration there",
        words=("approved",),
    ),
    _Cause(
        "the user is locked or inactive",
        "Setup, Users: unlock and activate the integration user",
        words=("locked", "inactive"),
    ),
    _Cause(
        "the assertion names another audience than this org's",
        "set UMBRA_SALESFORCE_JWT_AUDIENCE to https://login.salesforce.com, in a sandbox to "
        "https://test.salesforce.com",
        words=("audience",),
    ),
    _Cause(
        "the app does not know the key that signed the assertion",
        f"{_APP}, Settings: upload the certificate that belongs to UMBRA_SALESFORCE_PRIVATE_KEY_FILE",
        words=("invalid assertion", "signature"),
    ),
    _Cause(
        "the client secret is wrong",
        f"{_APP}, Settings, Consumer Key and Secret: copy the secret to UMBRA_SALESFORCE_CLIENT_SECRET",
        words=("invalid client credentials", "client secret"),
    ),
    _Cause(
        "this org knows no app with that consumer key",
        f"{_APP}, Settings, Consumer Key and Secret: copy the key to UMBRA_SALESFORCE_CLIENT_ID, and check that "
        "UMBRA_SALESFORCE_LOGIN_URL is this org's; a new app takes some minutes to be known",
        codes=("invalid_client_id", "invalid_client", "app_not_found"),
    ),
    _Cause(
        "the address or hours of this login are not allowed",
        "Setup: allow this machine's address in the profile's login IP ranges, or relax IP restrictions in the app",
        words=("ip restricted", "ip address", "login hours"),
    ),
)


def refused(settings: SalesforceSettings, error: Refused, drift: float | None) -> Finding:
    """What a refusal means. drift: seconds by which this machine's clock is ahead of the org's, None if unknown"""
    text = str(error).lower()
    said = f"Salesforce says: {error}"
    if "expired" in text or "exp " in text:
        return _expired(said, drift)
    cause = next((cause for cause in _CAUSES if cause.fits(error.code, text)), None)
    if cause is None:
        return fail(CHECK, said, "see Setup, Login History of the user, and docs/salesforce-setup.md, step 4")
    return fail(CHECK, f"{cause.detail} ({configured.flow(settings)}). {said}", cause.remedy)


def _expired(said: str, drift: float | None) -> Finding:
    if drift is None or abs(drift) <= TOLERATED:
        return fail(CHECK, f"the assertion was taken for expired. {said}", "set this machine's clock by NTP")
    way = "ahead of" if drift > 0 else "behind"
    detail = f"this machine's clock is {abs(drift):.0f} s {way} the org's, so the assertion has expired. {said}"
    return fail(CHECK, detail, "set this machine's clock by NTP: timedatectl set-ntp true")


def away(settings: SalesforceSettings, error: SalesforceError) -> Finding:
    """No answer, or none of Salesforce's: another host, no network, no trust."""
    host, text = configured.login_host(settings), str(error)
    if "SSLError" in text:
        why, remedy = "its certificate is not trusted", "unset UMBRA_SALESFORCE_CA_FILE, or let it name the authority"
    elif "HTTP" in text:
        why = f"what answers there is not Salesforce's token endpoint ({text})"
        remedy = "set UMBRA_SALESFORCE_LOGIN_URL to the org's My Domain, https://YOUR_DOMAIN.my.salesforce.com"
    else:
        why = f"nothing answers there ({text})"
        remedy = (
            f"check UMBRA_SALESFORCE_LOGIN_URL and that this machine reaches {host}: curl -sI "
            f"{settings.salesforce_login_url}/services/data; a proxy is taken from HTTPS_PROXY"
        )
    return fail(CHECK, f"no login at {host}: {why}", remedy)


def logged_in(settings: SalesforceSettings, token: Token) -> Finding:
    return ok(CHECK, f"{configured.flow(settings)}: org {token.organization_id} at {token.instance_url}")


def clock(drift: float) -> Finding:
    """drift: seconds by which this machine's clock is ahead of the org's"""
    way = "ahead of" if drift > 0 else "behind"
    if abs(drift) <= TOLERATED:
        return ok(CLOCK, "this machine's clock agrees with the org's")
    detail = f"this machine's clock is {abs(drift):.0f} s {way} the org's"
    remedy = "set it by NTP: timedatectl set-ntp true"
    return fail(CLOCK, detail, remedy) if abs(drift) >= BROKEN else warn(CLOCK, detail, remedy)


def drift_of(told: float, before: float, after: float) -> float:
    """The least by which our clock is ahead, in seconds, when the org told its time between two readings of ours."""
    return before - told if told < before else min(0.0, after - told)


async def drift(settings: SalesforceSettings) -> float | None:
    """Seconds by which this machine's clock is ahead of the org's, by the Date of an answer that needs no login."""
    transport = Transport(1, settings.salesforce_ca_file, settings.salesforce_connect_seconds)
    url = f"{settings.salesforce_login_url.rstrip('/')}/services/data"

    def ask(wire: Wire) -> float | None:
        before = time.time()
        wire.get(url)
        return None if wire.seen is None or wire.seen.began_ms is None else before - wire.seen.began_ms / 1000

    try:
        return await transport.run(within(_SECONDS), ask)
    except requests.RequestException:
        return None
    finally:
        transport.close()
