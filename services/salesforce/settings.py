"""Settings of everything that speaks to Salesforce."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.kernel.settings import SettingsError, at_least, setting
from services.salesforce.calls import CallClass


def _share(value: float) -> str | None:
    return None if 0 <= value < 1 else "must be a share: at least 0 and below 1"


def _below_25(value: int) -> str | None:
    return None if 1 <= value < 25 else "must be 1 to 24: Salesforce allows 25 long calls at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceSettings:
    """Where the org is, who we are in it, and how much of it we may use.

    With a client secret the login is client credentials; with a user name and a private key it is JWT bearer.
    """

    salesforce_login_url: str = setting(
        doc="Where tokens come from: the org's My Domain, https://NAME.my.salesforce.com, of a sandbox "
        "https://NAME--SANDBOX.sandbox.my.salesforce.com. JWT bearer may also use https://login.salesforce.com, "
        "for a sandbox https://test.salesforce.com."
    )
    salesforce_client_id: str = setting(doc="Consumer key of the connected or external client app.")
    salesforce_client_secret: str = setting(default="", secret=True, doc="Consumer secret, for client credentials.")
    salesforce_username: str = setting(default="", doc="User to act as, for JWT bearer.")
    salesforce_private_key_file: Path | None = setting(default=None, doc="PEM file with the JWT bearer's private key.")
    salesforce_jwt_audience: str = setting(
        default="",
        doc="Audience of the JWT bearer assertion, https://login.salesforce.com or for a sandbox "
        "https://test.salesforce.com; the login URL where empty.",
    )
    salesforce_api_version: str = setting(default="67.0", doc="REST and Bulk API version.")
    salesforce_ca_file: Path | None = setting(
        default=None, doc="PEM file of the authority to trust; the system's own where empty."
    )
    salesforce_pubsub: str = setting(
        default="api.pubsub.salesforce.com:7443",
        doc="Pub/Sub API endpoint, host:port; api.deu.pubsub.salesforce.com:7443 keeps events in transit in the EU. "
        "Port 443 serves too.",
    )
    salesforce_pubsub_plaintext: bool = setting(
        default=False, doc="Speak Pub/Sub without TLS: for a simulator on this machine only."
    )
    salesforce_token_seconds: float = setting(
        default=1800.0,
        check=at_least(1),
        doc="Age at which a token is renewed, in seconds. Salesforce tells no expiry; its shortest default is 2 hours.",
    )
    salesforce_concurrency: int = setting(
        default=20, check=_below_25, doc="Calls of this process that run at once; Salesforce allows 25 long ones."
    )
    salesforce_waiting: int = setting(
        default=200, check=at_least(0), doc="Calls that may wait for a free place; past it the least urgent is refused."
    )
    salesforce_connect_seconds: float = setting(
        default=5.0, check=at_least(0.1), doc="Longest wait for a connection, in seconds."
    )
    salesforce_call_seconds: float = setting(
        default=120.0,
        check=at_least(1),
        doc="Longest single call, in seconds, whatever its deadline; Salesforce ends a query after 120.",
    )
    salesforce_fleet_processes: int = setting(
        default=8, check=at_least(1), doc="Most processes that share the daily allowance; all their calls may be open."
    )
    salesforce_floor_interactive: float = setting(
        default=0.01, check=_share, doc="Share of the daily allowance that live reads leave untouched."
    )
    salesforce_floor_write: float = setting(default=0.003, check=_share, doc="Share that writes leave untouched.")
    salesforce_floor_repair: float = setting(default=0.15, check=_share, doc="Share that repair reads leave untouched.")
    salesforce_floor_delta: float = setting(
        default=0.25, check=_share, doc="Share that the nightly delta leaves untouched."
    )
    salesforce_floor_backfill: float = setting(
        default=0.40,
        check=_share,
        doc="Share that backfills leave untouched. Lower runs more backfill on a busy day and starves live reads.",
    )

    def __post_init__(self) -> None:
        by_secret = bool(self.salesforce_client_secret)
        by_key = bool(self.salesforce_username and self.salesforce_private_key_file)
        if not (by_secret or by_key):
            raise SettingsError(
                "UMBRA_SALESFORCE_CLIENT_SECRET is not set, nor are UMBRA_SALESFORCE_USERNAME and "
                "UMBRA_SALESFORCE_PRIVATE_KEY_FILE: one of the two ways to log in is needed"
            )

    def floor(self, call_class: CallClass) -> float:
        """Share of the daily allowance that a class leaves untouched."""
        return {
            CallClass.INTERACTIVE: self.salesforce_floor_interactive,
            CallClass.WRITE: self.salesforce_floor_write,
            CallClass.REPAIR: self.salesforce_floor_repair,
            CallClass.DELTA: self.salesforce_floor_delta,
            CallClass.BACKFILL: self.salesforce_floor_backfill,
        }[call_class]
