"""Pub/Sub over gRPC: topics, schemas, and subscriptions that are given credit event by event.

Every call carries the process's token; a rejected one is replaced before the next call, and an old one before it
is needed: an open stream asks for none, so the token would expire unnoticed. Nothing is retried here but a unary
call whose token had just gone bad.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Never

import grpc

from services.salesforce.calls import within
from services.salesforce.errors import SalesforceError
from services.salesforce.login import Login, Token
from services.salesforce.pubsub.errors import AuthRejected, PubSubError, SchemaRefused, TopicRefused
from services.salesforce.pubsub.generated import pubsub_api_pb2 as pb
from services.salesforce.pubsub.generated import pubsub_api_pb2_grpc as pb_grpc
from services.salesforce.pubsub.org_clock import OrgClock
from services.salesforce.pubsub.subscription import Subscription, failure_of
from services.salesforce.settings import SalesforceSettings

log = logging.getLogger(__name__)

UNARY_SECONDS = 10.0
LOGIN_SECONDS = 20.0
_LOOKS = 10
"""Looks at a token in its lifetime: it is renewed at most a tenth late."""
_LARGEST_RESPONSE = 8 * 1024 * 1024
"""Salesforce keeps a response to about 3 MB; past gRPC's own limit of 4 MB the stream would be reset."""


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    schema_id: str
    can_subscribe: bool


class PubSub:
    """The org's Pub/Sub API, for any number of streams and calls.

    Each has a connection of its own, which ends with it: what goes on over a connection that is dead and does not
    say so would be as silent as what came before it.
    """

    def __init__(
        self, connect: Callable[[], grpc.aio.Channel], login: Login, org_clock: OrgClock, token_seconds: float
    ) -> None:
        self._connect = connect
        self._login = login
        self._look_seconds = token_seconds / _LOOKS
        self._rejected: Token | None = None
        self._seen: Token | None = None
        self.org_clock = org_clock

    async def topic(self, name: str) -> Topic:
        """Raises TopicRefused by name for a topic that is not there or not ours to read, else as `schema`."""
        info = await self._unary("GetTopic", pb.TopicRequest(topic_name=name))
        return Topic(info.topic_name, info.schema_id, info.can_subscribe)

    async def schema(self, schema_id: str) -> str:
        """A schema's JSON. Raises SchemaRefused where asking again will not help, else PubSubError by kind, and what a
        login raises."""
        try:
            info = await self._unary("GetSchema", pb.SchemaRequest(schema_id=schema_id))
        except PubSubError as error:
            if isinstance(error, TopicRefused) or error.code == "INVALID_ARGUMENT":  # by status, without a code
                raise SchemaRefused(error.code, str(error)) from error
            raise
        return str(info.schema_json)

    async def keep_token(self) -> Never:
        """Have a token that is young enough and know the org's time, until cancelled. What fails is tried again."""
        while True:
            try:
                await self._token()
            except SalesforceError as error:
                log.warning("no token", extra={"action": "no_token", "why": str(error)})
            await asyncio.sleep(self._look_seconds)

    @asynccontextmanager
    async def subscribed(self, topic: str, after: bytes | None, credit: int) -> AsyncIterator[Subscription]:
        """A stream of the events that follow a position, or of all that are kept where it is None.

        credit: events that may come before more are asked for, at most 100
        """
        token = await self._token()
        start = (
            {"replay_preset": pb.ReplayPreset.CUSTOM, "replay_id": after}
            if after
            else {"replay_preset": pb.ReplayPreset.EARLIEST}
        )
        async with self._connect() as channel:
            call = _stub(channel).Subscribe(metadata=_metadata(token))
            subscription = Subscription(call, topic, lambda error: self._note(error, token), self.org_clock.now_ms)
            try:
                await subscription.ask(credit, **start)
                yield subscription
            finally:
                await subscription.close()

    async def _unary(self, method: str, request: Any) -> Any:
        try:
            return await self._once(method, request)
        except AuthRejected:
            return await self._once(method, request)

    async def _once(self, method: str, request: Any) -> Any:
        token = await self._token()
        try:
            async with self._connect() as channel:
                call = getattr(_stub(channel), method)
                return await call(request, metadata=_metadata(token), timeout=UNARY_SECONDS)
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error)
            self._note(failure, token)
            raise failure from error

    async def _token(self) -> Token:
        token = await self._login.token(within(LOGIN_SECONDS))
        if self._rejected is not None and token.access_token == self._rejected.access_token:
            token = await self._login.renewed(token, within(LOGIN_SECONDS))
        if token is not self._seen:
            self._seen = token
            self.org_clock.told(token.issued_at)
        return token

    def _note(self, error: PubSubError, token: Token) -> None:
        if isinstance(error, AuthRejected):
            self._rejected = token


def _stub(channel: grpc.aio.Channel) -> Any:
    return pb_grpc.PubSubStub(channel)  # type: ignore[no-untyped-call]


def _metadata(token: Token) -> tuple[tuple[str, str], ...]:
    return (
        ("accesstoken", token.access_token),
        ("instanceurl", token.instance_url),
        ("tenantid", token.organization_id),
    )


_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # else all channels to one address share a connection
    ("grpc.max_receive_message_length", _LARGEST_RESPONSE),
    # gRPC's own pause between connection attempts grows to two minutes: ours decides.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@asynccontextmanager
async def opened(settings: SalesforceSettings, login: Login, org_clock: OrgClock) -> AsyncIterator[PubSub]:
    """The process's Pub/Sub client; connects when it is used."""
    yield PubSub(_connector(settings), login, org_clock, settings.salesforce_token_seconds)


def _connector(settings: SalesforceSettings) -> Callable[[], grpc.aio.Channel]:
    address = settings.salesforce_pubsub
    if settings.salesforce_pubsub_plaintext:
        # Plaintext is for this machine, which no proxy stands before.
        return lambda: grpc.aio.insecure_channel(address, options=(*_OPTIONS, ("grpc.enable_http_proxy", 0)))
    trusted = settings.salesforce_ca_file.read_bytes() if settings.salesforce_ca_file else None
    credentials = grpc.ssl_channel_credentials(trusted)
    return lambda: grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
