"""Faults of the Pub/Sub API.  Their subject is a topic; of GetSchema, the name of the schema's record."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from sandbox.salesforce.faults.fault import Fault, Natural, Positive, Seconds

Rpc: TypeAlias = Literal["Subscribe", "GetTopic", "GetSchema", "Publish", "PublishStream"]
ErrorCode: TypeAlias = Literal[
    "service.unavailable",
    "service.auth.error",
    "service.auth.headers.invalid",
    "service.protection.triggered",
    "service.protection.stream.limit.triggered",
    "service.tenant.license",
    "concurrent.client.limit.exceeded",
    "topic.not.found",
    "topic.meta.permission",
    "topic.api.unavailable",
    "schema.api.unavailable",
    "schema.meta.permission",
    "schema.validation.failed",
    "subscription.fetch.overflow",
    "subscription.fetch.replay.repeated",
    "subscription.fetch.replayid.corrupted",
    "subscription.fetch.replayid.validation.failed",
    "subscription.internal.error",
    "subscription.limit.exceeded",
    "subscription.topic.cannot.subscribe",
]


class Error(Fault, frozen=True, tag="pubsub.error"):
    """An rpc ends with this error code, its gRPC status and its trailers.

    at: "open" meets an rpc as it begins; "stream" a Subscribe that runs, once it has delivered `after` events
    start: "custom" meets only a Subscribe that begins at a replay id
    """

    code: ErrorCode = "service.unavailable"
    rpc: Rpc = "Subscribe"
    at: Literal["open", "stream"] = "open"
    after: Natural = 0
    start: Literal["any", "custom"] = "any"


class Cut(Fault, frozen=True, tag="pubsub.cut"):
    """A running stream breaks below gRPC, with no trailers.

    What a client has received and not read by then, its library may throw away, as it does with the real one.

    how: "rst_stream" resets the stream with `http2_code`, "connection" resets the TCP connection under it,
         "black_hole" leaves the connection open and moves no byte on it any more, not even for a ping
    after: once the stream has delivered so many events
    """

    how: Literal["rst_stream", "connection", "black_hole"] = "rst_stream"
    http2_code: Annotated[int, msgspec.Meta(ge=0, le=13)] = 0
    after: Natural = 0


class End(Fault, frozen=True, tag="pubsub.end"):
    """A running stream ends well, as if all had been said.

    after: once the stream has delivered so many events
    """

    after: Natural = 0


class Stall(Fault, frozen=True, tag="pubsub.stall"):
    """A stream falls silent: it stays open, with no events, no keepalives and no end.

    seconds: how long; without it until the fault is taken off
    """

    seconds: Seconds | None = None


class NoKeepalive(Fault, frozen=True, tag="pubsub.no_keepalive"):
    """A keepalive that is due is not sent; events are."""


class ZeroCredit(Fault, frozen=True, tag="pubsub.zero_credit"):
    """A stream without credit is closed after `seconds` in place of the org's own time."""

    seconds: Seconds = 0.0


class Duplicate(Fault, frozen=True, tag="pubsub.duplicate"):
    """The events of an answer are delivered once more, and count as delivered once more."""


class NoReplayId(Fault, frozen=True, tag="pubsub.no_replay_id"):
    """An event comes with an empty replay_id."""


class NoLatestReplayId(Fault, frozen=True, tag="pubsub.no_latest_replay_id"):
    """An answer comes with an empty latest_replay_id.

    on: only keepalives, only answers with events, or any
    """

    on: Literal["any", "events", "keepalive"] = "any"


class Undecodable(Fault, frozen=True, tag="pubsub.undecodable"):
    """An event arrives that cannot be read; the org keeps the good one.

    how: its payload is noise, or it names a schema that does not exist
    """

    how: Literal["payload", "schema_id"] = "payload"


class Slices(Fault, frozen=True, tag="pubsub.slices"):
    """An answer holds at most so many events, however much credit there is."""

    events: Positive = 1


class Slow(Fault, frozen=True, tag="pubsub.slow"):
    """An rpc is answered late; of Subscribe, its beginning."""

    rpc: Rpc = "GetSchema"
    seconds: Seconds = 5.0


PubSubFault: TypeAlias = (
    Error
    | Cut
    | End
    | Stall
    | NoKeepalive
    | ZeroCredit
    | Duplicate
    | NoReplayId
    | NoLatestReplayId
    | Undecodable
    | Slices
    | Slow
)
