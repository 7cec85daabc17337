"""SOAP login() and logout(), for the API versions that still have them.

The children of a login's result come in the order of the real answer: some clients read them by position.
"""

import re
from collections.abc import Mapping
from hmac import compare_digest
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

from sandbox.salesforce.instance import Instance
from sandbox.salesforce.rest.answers import INSTANCE, answer

_VERSIONS = range(31, 65)  # retired below, absent above
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_NAMESPACES = {"u": "urn:partner.soap.sforce.com", "c": "urn:enterprise.soap.sforce.com"}
_LOGIN_SECONDS = 7200


class _Fault(Exception):
    """A request that SOAP refuses, by its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def add_routes(app: web.Application) -> None:
    app.router.add_post(r"/services/Soap/{kind:[uc]}/{version}{org:(/.*)?}", _soap)


async def _soap(request: web.Request) -> web.Response:
    instance = request.app[INSTANCE]
    namespace = _NAMESPACES[request.match_info["kind"]]
    try:
        _check_version(request.match_info["version"])
        operation, values = _read(await request.read())
        if operation == "logout":
            instance.sessions.revoke(values.get("sessionId", ""))
            return _envelope(instance, 200, namespace, "<logoutResponse/>")
        if operation != "login":
            raise _Fault("INVALID_OPERATION", f"the operation {operation} is not supported")
        _check_login(instance, values)
    except _Fault as fault:
        return _envelope(instance, 500, namespace, _fault(fault))
    return _envelope(instance, 200, namespace, _logged_in(instance, request))


def _check_version(text: str) -> None:
    if not re.fullmatch(r"\d\d\.0", text) or int(text[:2]) not in _VERSIONS:
        raise _Fault("UNSUPPORTED_API_VERSION", f"login() is not supported in API version {text}")


def _read(body: bytes) -> tuple[str, dict[str, str]]:
    """The operation's name, and every text of the request by its element's name."""
    if b"<!DOCTYPE" in body:
        raise _Fault("MALFORMED_QUERY", "a document type is not accepted")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - without a document type there are no entities
    except ElementTree.ParseError as error:
        raise _Fault("INVALID_XML", str(error)) from None
    operation = root.find(f"{{{_ENVELOPE}}}Body/*")
    if operation is None:
        raise _Fault("INVALID_XML", "the envelope has no body")
    return _local(operation), {_local(element): element.text or "" for element in root.iter()}


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _check_login(instance: Instance, values: Mapping[str, str]) -> None:
    """The password alone or with the security token behind it: the network may be a trusted one."""
    identity, given = instance.identity, values.get("password", "")
    passwords = (identity.password, identity.password + identity.security_token)
    known = any(compare_digest(given.encode(), password.encode()) for password in passwords)
    if values.get("username") != identity.username or not known:
        raise _Fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")


def _logged_in(instance: Instance, request: web.Request) -> str:
    identity = instance.identity
    kind, version = request.match_info["kind"], request.match_info["version"]
    origin, org = f"{request.scheme}://{request.host}", identity.org_id[:15]
    result = {
        "metadataServerUrl": f"{origin}/services/Soap/m/{version}/{org}",
        "passwordExpired": "false",
        "sandbox": "false",
        "serverUrl": f"{origin}/services/Soap/{kind}/{version}/{org}",
        "sessionId": instance.sessions.issue()[0],
        "userId": identity.user_id,
    }
    user = {
        "accessibilityMode": "false",
        "chatterExternal": "false",
        "currencySymbol": "¥",
        "orgAttachmentFileSizeLimit": "5242880",
        "orgDefaultCurrencyIsoCode": "JPY",
        "orgDefaultCurrencyLocale": "ja_JP",
        "orgDisallowHtmlAttachments": "false",
        "orgHasPersonAccounts": "false",
        "organizationId": identity.org_id,
        "organizationMultiCurrency": "true",
        "organizationName": "Umbra Sandbox",
        "profileId": "00e000000000001AAA",
        "roleId": "",
        "sessionSecondsValid": str(_LOGIN_SECONDS),
        "userDefaultCurrencyIsoCode": "JPY",
        "userEmail": identity.username,
        "userFullName": "Umbra Integration",
        "userId": identity.user_id,
        "userLanguage": "en_US",
        "userLocale": "en_US",
        "userName": identity.username,
        "userTimeZone": "Asia/Tokyo",
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }
    inner = _elements(result) + f"<userInfo>{_elements(user)}</userInfo>"
    return f"<loginResponse><result>{inner}</result></loginResponse>"


def _elements(values: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _fault(fault: _Fault) -> str:
    words = escape(f"{fault.code}: {fault.message}")
    detail = f"<sf:LoginFault><sf:exceptionCode>{fault.code}</sf:exceptionCode>"
    detail += f"<sf:exceptionMessage>{escape(fault.message)}</sf:exceptionMessage></sf:LoginFault>"
    return (
        f"<soapenv:Fault><faultcode>sf:{fault.code}</faultcode><faultstring>{words}</faultstring>"
        f'<detail xmlns:sf="urn:fault.partner.soap.sforce.com">{detail}</detail></soapenv:Fault>'
    )


def _envelope(instance: Instance, status: int, namespace: str, body: str) -> web.Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" xmlns="{namespace}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sf="urn:fault.partner.soap.sforce.com">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
    return answer(instance, status, text.encode(), "text/xml")
