"""Login by OAuth: JWT bearer, client credentials, refresh token, user info, revocation."""

import base64
import binascii
from collections.abc import Mapping

import jwt
from aiohttp import web

from sandbox.salesforce.faults.rest import LoginRefuse
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.rest.answers import INSTANCE, answer, bearer, json_response

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
_MAX_LIFETIME_S = 600
_LEEWAY_S = 60


class _Denied(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


def add_routes(app: web.Application) -> None:
    app.router.add_post("/services/oauth2/token", _token)
    app.router.add_post("/services/oauth2/revoke", _revoke)
    app.router.add_route("GET", "/services/oauth2/userinfo", _userinfo)
    app.router.add_route("POST", "/services/oauth2/userinfo", _userinfo)


async def _token(request: web.Request) -> web.Response:
    instance = request.app[INSTANCE]
    form = {key: str(value) for key, value in (await request.post()).items()}
    origin = f"{request.scheme}://{request.host}"
    try:
        _check_grant(instance, form, request.headers.get("Authorization", ""), origin)
    except _Denied as denied:
        return json_response(instance, 400, {"error": denied.error, "error_description": denied.description})
    return json_response(instance, 200, _grant(instance, origin))


def _check_grant(instance: Instance, form: Mapping[str, str], authorization: str, origin: str) -> None:
    grant = form.get("grant_type", "")
    if (refuse := instance.faults.take(LoginRefuse, grant)) is not None:
        raise _Denied(refuse.error, refuse.description)
    if grant == _JWT_BEARER:
        _check_assertion(instance, form.get("assertion", ""), origin)
    elif grant == "client_credentials":
        _check_client(instance, form, authorization)
    elif grant == "refresh_token":
        _check_refresh(instance, form)
    else:
        raise _Denied("unsupported_grant_type", "grant type not supported")


def _check_assertion(instance: Instance, assertion: str, origin: str) -> None:
    """The signature, then issuer, subject, audience and an expiry that some clients send as text."""
    try:
        claims = jwt.decode(
            assertion,
            instance.login_key,
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.PyJWTError:
        raise _Denied("invalid_grant", "invalid assertion") from None
    if claims.get("iss") != instance.identity.client_id:
        raise _Denied("invalid_client_id", "client identifier invalid")
    if claims.get("sub") != instance.identity.username:
        raise _Denied("invalid_grant", "user hasn't approved this consumer")
    if str(claims.get("aud", "")).rstrip("/") not in (*_AUDIENCES, origin):
        raise _Denied("invalid_grant", "audience is invalid")
    _check_expiry(str(claims.get("exp", "")), instance.org.clock.now_s())


def _check_expiry(text: str, now_s: float) -> None:
    if not text.isdigit() or not now_s - _LEEWAY_S < int(text) <= now_s + _MAX_LIFETIME_S:
        raise _Denied("invalid_grant", "expired authorization code")


def _check_client(instance: Instance, form: Mapping[str, str], authorization: str) -> None:
    given = (form.get("client_id", ""), form.get("client_secret", ""))
    if authorization.startswith("Basic "):
        given = _basic(authorization.removeprefix("Basic "))
    if given != (instance.identity.client_id, instance.identity.client_secret):
        raise _Denied("invalid_grant", "authentication failure - invalid client credentials")


def _check_refresh(instance: Instance, form: Mapping[str, str]) -> None:
    """The secret is checked where one is sent: an app may do without it."""
    if form.get("client_id") != instance.identity.client_id:
        raise _Denied("invalid_client_id", "client identifier invalid")
    if form.get("client_secret", instance.identity.client_secret) != instance.identity.client_secret:
        raise _Denied("invalid_client", "invalid client credentials")
    if form.get("refresh_token") != instance.identity.refresh_token:
        raise _Denied("invalid_grant", "expired access/refresh token")


def _basic(text: str) -> tuple[str, str]:
    try:
        user, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, secret


def _grant(instance: Instance, origin: str) -> dict[str, str]:
    token, issued_ms = instance.sessions.issue()
    identity = instance.identity
    return {
        "access_token": token,
        "instance_url": origin,
        "id": f"{origin}/id/{identity.org_id}/{identity.user_id}",
        "token_type": "Bearer",
        "issued_at": str(issued_ms),
        "signature": base64.b64encode(token[-33:].encode()).decode(),
        "scope": "api",
        "api_instance_url": origin,
    }


async def _userinfo(request: web.Request) -> web.Response:
    instance = request.app[INSTANCE]
    if not instance.sessions.valid(bearer(request)):
        return answer(instance, 403, b"Bad_OAuth_Token", "text/html")
    identity = instance.identity
    origin = f"{request.scheme}://{request.host}"
    return json_response(
        instance,
        200,
        {
            "sub": f"{origin}/id/{identity.org_id}/{identity.user_id}",
            "user_id": identity.user_id,
            "organization_id": identity.org_id,
            "preferred_username": identity.username,
            "email": identity.username,
            "name": "Umbra Integration",
            "active": True,
            "user_type": "STANDARD",
            "urls": {"custom_domain": origin},
        },
    )


async def _revoke(request: web.Request) -> web.Response:
    instance = request.app[INSTANCE]
    instance.sessions.revoke(str((await request.post()).get("token", "")))
    return answer(instance, 200, b"", "text/html")
