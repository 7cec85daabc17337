"""Login: one access token for all callers of a process, renewed before it gets old and after a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and where it is good.

    instance_url: scheme, host and port, no path; issued_at: epoch seconds by Salesforce's clock
    """

    access_token: str = field(repr=False)
    instance_url: str
    organization_id: str
    issued_at: float


class Login:
    """Hands out the process's token; at most one request for a new one is under way."""

    async def token(self, deadline: float) -> Token:
        """A token that is good as far as anybody knows.

        Raises Unavailable when Salesforce is away, Refused for bad credentials, DeadlinePassed.
        """
        raise NotImplementedError

    async def renewed(self, rejected: Token, deadline: float) -> Token:
        """Another token than `rejected`, which Salesforce has just refused; raises as `token` does."""
        raise NotImplementedError
