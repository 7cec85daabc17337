"""Errors of the Pub/Sub API: a gRPC status, an error code, and the trailers real clients read them from."""

import asyncio
import uuid
from typing import Any, NoReturn

import grpc

from sandbox.salesforce.faults import pubsub as kinds
from sandbox.salesforce.faults.pubsub import ErrorCode, Rpc
from sandbox.salesforce.faults.rest import Revoke
from sandbox.salesforce.instance import Instance

_PREFIX = "sfdc.platform.eventbus.grpc."


class Fault(Exception):
    """An rpc the org ends with an error.  `code` comes without the common prefix."""

    def __init__(self, code: str, status: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message


def bad_request(code: str, message: str) -> Fault:
    return Fault(code, grpc.StatusCode.INVALID_ARGUMENT, message)


_S = grpc.StatusCode
# Statuses of real traffic where there was any to be seen, otherwise what the code says.
_ARMED: dict[ErrorCode, tuple[Any, str]] = {
    "service.unavailable": (_S.INTERNAL, "The service is unavailable. Try again later."),
    "service.auth.error": (_S.UNAUTHENTICATED, "Authentication failed. Provide a valid access token."),
    "service.auth.headers.invalid": (_S.UNAUTHENTICATED, "The authentication headers are missing or invalid."),
    "service.protection.triggered": (_S.RESOURCE_EXHAUSTED, "Too many requests. Slow down and try again."),
    "service.protection.stream.limit.triggered": (_S.RESOURCE_EXHAUSTED, "Too many streams. Close some of them."),
    "service.tenant.license": (_S.PERMISSION_DENIED, "The org has no license for this API."),
    "concurrent.client.limit.exceeded": (_S.RESOURCE_EXHAUSTED, "The org has too many concurrent clients."),
    "topic.not.found": (_S.NOT_FOUND, "The topic was not found."),
    "topic.meta.permission": (_S.PERMISSION_DENIED, "The user may not read the topic."),
    "topic.api.unavailable": (_S.UNAVAILABLE, "The topic cannot be looked up at the moment."),
    "schema.api.unavailable": (_S.UNAVAILABLE, "The schema cannot be looked up at the moment."),
    "schema.meta.permission": (_S.PERMISSION_DENIED, "The user may not read the schema."),
    "schema.validation.failed": (_S.INVALID_ARGUMENT, "The schema id does not exist."),
    "subscription.fetch.overflow": (_S.INTERNAL, "The fetch went over what can be buffered."),
    "subscription.fetch.replay.repeated": (_S.INTERNAL, "A replay id lower than the previous one was read."),
    "subscription.fetch.replayid.corrupted": (
        _S.INVALID_ARGUMENT,
        "The replay id could not be found or is corrupted. Subscribe with another replay id or preset.",
    ),
    "subscription.fetch.replayid.validation.failed": (_S.INVALID_ARGUMENT, "The replay id is not valid."),
    "subscription.internal.error": (_S.INTERNAL, "An internal error ended the subscription."),
    "subscription.limit.exceeded": (
        _S.RESOURCE_EXHAUSTED,
        "The org has exceeded its event delivery limit of the last 24 hours.",
    ),
    "subscription.topic.cannot.subscribe": (_S.INVALID_ARGUMENT, "The topic cannot be subscribed to."),
}


def of_code(code: ErrorCode) -> Fault:
    """The error of a code, as an armed fault names it."""
    status, message = _ARMED[code]
    return Fault(code, status, message)


def corrupted() -> Fault:
    return of_code("subscription.fetch.replayid.corrupted")


def unavailable() -> Fault:
    return Fault("", grpc.StatusCode.UNAVAILABLE, "The service is unavailable.")


async def end_with(context: Any, rpc: str, fault: Fault) -> NoReturn:
    """Ends an rpc; being off sends no trailers, because then no Salesforce answers."""
    if not fault.code:
        await context.abort(fault.status, fault.message)
    rpc_id = str(uuid.uuid4())
    trailers = (("error-code", _PREFIX + fault.code), ("rpc-id", rpc_id), ("type", rpc))
    await context.abort(fault.status, f"{fault.message} rpcId: {rpc_id}", trailers)
    raise AssertionError("abort does not return")


async def admit(instance: Instance, context: Any, rpc: Rpc, subject: str, *, from_replay_id: bool = False) -> None:
    """Every rpc begins here: who calls, and what is armed against it.  Raises Fault."""
    revoke = instance.faults.take(Revoke, subject, where=lambda f: f.on == "call")
    if revoke is not None:
        void_token(instance, context, revoke)
    check_caller(instance, context)
    if (slow := instance.faults.take(kinds.Slow, subject, where=lambda f: f.rpc == rpc)) is not None:
        await asyncio.sleep(slow.seconds)
    error = instance.faults.take(
        kinds.Error,
        subject,
        where=lambda f: f.rpc == rpc and f.at == "open" and (f.start == "any" or from_replay_id),
    )
    if error is not None:
        raise of_code(error.code)


def void_token(instance: Instance, context: Any, revoke: Revoke) -> None:
    instance.sessions.revoke(str(dict(context.invocation_metadata()).get("accesstoken", "")))
    if revoke.tokens == "all":
        instance.sessions.revoke_all()


def check_caller(instance: Instance, context: Any) -> None:
    """Every rpc names its token, instance and org.  Raises Fault."""
    if not instance.switch.on:
        raise unavailable()
    headers = dict(context.invocation_metadata())
    missing = [name for name in ("accesstoken", "instanceurl", "tenantid") if not headers.get(name)]
    if missing:
        raise Fault(
            "service.auth.headers.invalid",
            grpc.StatusCode.UNAUTHENTICATED,
            f"The authentication headers are missing or invalid: {', '.join(missing)}.",
        )
    tenant = str(headers["tenantid"])
    if tenant not in (instance.identity.org_id, instance.identity.org_id[:15]) or not instance.sessions.valid(
        str(headers["accesstoken"])
    ):
        raise Fault(
            "service.auth.error",
            grpc.StatusCode.UNAUTHENTICATED,
            "Authentication failed. Provide a valid access token, instance URL and 18-character org id.",
        )
