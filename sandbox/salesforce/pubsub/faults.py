"""Errors of the Pub/Sub API: a gRPC status, an error code, and the trailers real clients read them from."""

import uuid
from typing import Any, NoReturn

import grpc

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
