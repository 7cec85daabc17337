"""The customers who may sign in: the accounts that the simulated org has been seeded with."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp


class OrgAway(Exception):
    """The simulator did not answer."""


@dataclass(frozen=True, slots=True)
class Account:
    account_id: str
    name: str
    internet_eligibility: str | None

    def shown(self) -> dict[str, str | None]:
        return {
            "accountId": self.account_id,
            "name": self.name,
            "internetEligibility": self.internet_eligibility,
        }


class Accounts:
    def __init__(self, session: aiohttp.ClientSession, control: str) -> None:
        self._session = session
        self._url = f"{control.rstrip('/')}/demo/accounts"

    async def all(self) -> list[Account]:
        """Asked anew each time: an account made during the demo can sign in at once. Raises OrgAway."""
        try:
            async with self._session.get(self._url) as answer:
                answer.raise_for_status()
                found = await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OrgAway(f"the simulator does not answer at {self._url}") from error
        return [
            Account(entry["account_id"], entry["name"], entry.get("internet_eligibility"))
            for entry in found["accounts"]
        ]

    async def get(self, account_id: str) -> Account | None:
        return next((account for account in await self.all() if account.account_id == account_id), None)
