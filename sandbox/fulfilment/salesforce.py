"""The provisioning system's own way into Salesforce: client credentials, one order read, one order updated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import aiohttp

from sandbox.fulfilment import http
from sandbox.fulfilment.settings import Settings
from sandbox.fulfilment.steps import OrderState, Step


class Salesforce:
    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._login_url = settings.salesforce_login_url
        self._version = settings.salesforce_api_version
        self._credentials = {
            "grant_type": "client_credentials",
            "client_id": settings.salesforce_client_id,
            "client_secret": settings.salesforce_client_secret,
        }
        self._login: tuple[str, str] | None = None

    async def order(self, order_id: str) -> OrderState:
        """Raises Refused for an order that the org no longer has."""
        record = await self._call("GET", order_id, params={"fields": "Status,CreatedDate"})
        return OrderState(record["Status"], datetime.fromisoformat(record["CreatedDate"]))

    async def move(self, order_id: str, step: Step) -> None:
        reason = {"Status_Reason__c": step.reason} if step.reason else {}
        await self._call("PATCH", order_id, json={"Status": step.status, **reason})

    async def _call(self, method: str, order_id: str, **options: Any) -> Any:
        instance, token = self._login = self._login or await self._log_in()
        url = f"{instance}/services/data/v{self._version}/sobjects/Order/{order_id}"
        try:
            return await http.call(self._session, method, url, headers={"Authorization": f"Bearer {token}"}, **options)
        except http.Expired:
            self._login = None
            raise
        except http.NotFound as gone:
            raise http.Refused(str(gone)) from gone

    async def _log_in(self) -> tuple[str, str]:
        url = f"{self._login_url}/services/oauth2/token"
        answer = await http.call(self._session, "POST", url, data=self._credentials)
        return answer["instance_url"], answer["access_token"]
