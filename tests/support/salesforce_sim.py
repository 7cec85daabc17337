"""The Salesforce sandbox as the door's settings see it."""

from __future__ import annotations

from typing import Any

from services.kernel import settings
from services.salesforce.settings import SalesforceSettings
from tests.contract.salesforce_sim.simulator import Simulator, running

__all__ = ["Simulator", "door_settings", "running"]


def door_settings(sim: Simulator, *, tls: bool = False, by_key: bool = False, **more: Any) -> SalesforceSettings:
    """Settings as the environment would give them; `more` are further ones by their field name."""
    values: dict[str, Any] = {
        "salesforce_login_url": sim.https if tls else sim.http,
        "salesforce_client_id": sim.client_id,
        "salesforce_api_version": sim.api_version,
        "salesforce_pubsub": sim.grpc,
        "salesforce_pubsub_plaintext": "true",
    }
    if tls:
        values["salesforce_ca_file"] = sim.ca_file
    if by_key:
        values |= {"salesforce_username": sim.username, "salesforce_private_key_file": sim.private_key_file}
    else:
        values["salesforce_client_secret"] = sim.client_secret
    environ = {f"UMBRA_{name.upper()}": str(value) for name, value in (values | more).items()}
    return settings.load(SalesforceSettings, environ)
