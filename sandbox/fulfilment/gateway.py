"""Reporting a status to Umbra: a service token from the identity provider, one POST per step."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp

from sandbox.fulfilment import http
from sandbox.fulfilment.settings import Settings
from sandbox.fulfilment.steps import Step, key


class Gateway:
    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._url = settings.gateway_url
        self._token_url = f"{settings.identity_url.removesuffix('/identity')}/identity/token"
        self._token: str | None = None

    async def report(self, order_id: str, step: Step, at: datetime) -> None:
        """`at` is when the order reached the step. Raises NotFound for an order that Umbra does not know yet."""
        self._token = token = self._token or await self._fetch_token()
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key(order_id, step)}
        reason = {"reason": step.reason} if step.reason else {}
        moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"status": step.status, "occurredAt": moment, **reason}
        try:
            await http.call(self._session, "POST", f"{self._url}/orders/{order_id}/status", json=body, headers=headers)
        except http.Expired:
            self._token = None
            raise

    async def _fetch_token(self) -> str:
        answer = await http.call(self._session, "POST", self._token_url, json={"service": "fulfilment"})
        return str(answer["token"])
