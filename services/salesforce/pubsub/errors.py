"""Why Pub/Sub ended a call, by what its caller does about it. Pure.

The trailer `error-code` decides where there is one, the gRPC status where there is none. Source: Pub/Sub API guide,
"Handle Errors".
"""

from __future__ import annotations

from services.salesforce.errors import SalesforceError

PREFIX = "sfdc.platform.eventbus.grpc."


class PubSubError(SalesforceError):
    """Root of Pub/Sub's errors.

    code: the trailer without its common prefix, or the gRPC status where there was none
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Interrupted(PubSubError):
    """The connection, the stream or the service broke off: come back after a pause."""


class Throttled(PubSubError):
    """Salesforce protects itself: come back after a long pause."""


class AllowanceSpent(PubSubError):
    """The deliveries of 24 hours are spent. Events are kept for 72 hours; nothing comes before the window moves."""


class AuthRejected(PubSubError):
    """The token is no longer good: come back with another."""


class ReplayRejected(PubSubError):
    """Salesforce does not know the position any more: its events are older than 72 hours, or the org has moved."""


class TopicRefused(PubSubError):
    """There is no such topic, or we may not read it: somebody has to change the org or its permissions."""


class SchemaRefused(PubSubError):
    """There is no such schema, or we may not read it; asking again will not help."""


_BY_CODE: tuple[tuple[str, type[PubSubError]], ...] = (
    ("service.auth.", AuthRejected),
    ("subscription.fetch.replayid.", ReplayRejected),
    ("subscription.limit.exceeded", AllowanceSpent),
    ("service.protection.", Throttled),
    ("concurrent.client.limit.exceeded", Throttled),
    ("topic.api.unavailable", Interrupted),
    ("topic.", TopicRefused),
    ("subscription.topic.", TopicRefused),
    ("service.tenant.license", TopicRefused),
    ("schema.api.unavailable", Interrupted),
    ("schema.", SchemaRefused),
)
_BY_STATUS: dict[str, type[PubSubError]] = {
    "UNAUTHENTICATED": AuthRejected,
    "NOT_FOUND": TopicRefused,
    "PERMISSION_DENIED": TopicRefused,
    "RESOURCE_EXHAUSTED": Throttled,
}


def error_of(status: str, code: str, message: str) -> PubSubError:
    """The error for a gRPC status by name, its `error-code` trailer (empty where there was none) and its details.

    What is not known is Interrupted: another try is never wrong, only the position it starts from could be.
    """
    short = code.removeprefix(PREFIX)
    if short:
        found = next((kind for start, kind in _BY_CODE if short.startswith(start)), Interrupted)
        return found(short, message)
    return _BY_STATUS.get(status, Interrupted)(status, message)
