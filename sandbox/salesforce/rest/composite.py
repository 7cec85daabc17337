"""Several calls in one, later ones using the answers of earlier ones; with allOrNone one transaction for all."""

import re
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.rest.call import Call, Reply, Transactions, shared_transaction

MAX_PARTS = 25
_REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")
_HALTED = {
    "errorCode": "PROCESSING_HALTED",
    "message": "The transaction was rolled back since another operation in the same transaction failed.",
}
Dispatch: TypeAlias = Callable[[Call], Reply]


class _RolledBack(Exception):
    pass


def composite(call: Call, dispatch: Dispatch) -> Reply:
    body = call.object_body()
    parts = body.get("compositeRequest")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise Refused("JSON_PARSER_ERROR", "compositeRequest must be a list of requests")
    if len(parts) > MAX_PARTS:
        raise Refused("LIMIT_EXCEEDED", f"Limit of {MAX_PARTS} reached for operation composite")
    if body.get("allOrNone") is True:
        return _together(call, parts, dispatch)
    return Reply(200, {"compositeResponse": _run(call, parts, dispatch, call.transaction, stop=False)})


def _together(call: Call, parts: list[Any], dispatch: Dispatch) -> Reply:
    answers: list[dict[str, Any]] = []
    try:
        with call.transaction() as tx:
            answers = _run(call, parts, dispatch, shared_transaction(tx), stop=True)
            if any(answer["httpStatusCode"] >= 400 for answer in answers):
                raise _RolledBack
    except _RolledBack:
        answers = [
            a if a["httpStatusCode"] >= 400 else a | {"body": [_HALTED], "httpHeaders": {}, "httpStatusCode": 400}
            for a in answers
        ]
        done = {a["referenceId"] for a in answers}
        answers += [_answer(p, Reply(400, [_HALTED])) for p in parts if p.get("referenceId") not in done]
    return Reply(200, {"compositeResponse": answers})


def _run(
    call: Call, parts: list[Any], dispatch: Dispatch, transaction: Transactions, *, stop: bool
) -> list[dict[str, Any]]:
    known: dict[str, Any] = {}
    answers: list[dict[str, Any]] = []
    for part in parts:
        reply = _one(call, part, dispatch, transaction, known)
        answers.append(_answer(part, reply))
        if reply.status < 400:
            known[str(part.get("referenceId"))] = reply.body
        elif stop:
            break
    return answers


def _one(call: Call, part: Any, dispatch: Dispatch, transaction: Transactions, known: dict[str, Any]) -> Reply:
    try:
        url = urlsplit(_fill(str(part["url"]), known))
        if not url.path.startswith(call.base + "/"):
            raise Refused("INVALID_INPUT", f"subrequest url must start with {call.base}/")
        inner = Call(
            instance=call.instance,
            method=str(part["method"]).upper(),
            path=url.path[len(call.base) :],
            query=dict(parse_qsl(url.query)),
            body=_fill_all(part.get("body"), known),
            version=call.version,
            headers=call.headers,
            transaction=transaction,
        )
    except KeyError as error:
        return Reply(400, [{"errorCode": "JSON_PARSER_ERROR", "message": f"missing {error} in subrequest"}])
    except Refused as error:
        return Reply(error.status, [error.as_rest()])
    return dispatch(inner)


def _answer(part: Any, reply: Reply) -> dict[str, Any]:
    return {
        "body": reply.body,
        "httpHeaders": reply.headers,
        "httpStatusCode": reply.status,
        "referenceId": part.get("referenceId"),
    }


def _fill_all(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return _fill(value, known)
    if isinstance(value, list):
        return [_fill_all(item, known) for item in value]
    if isinstance(value, dict):
        return {key: _fill_all(item, known) for key, item in value.items()}
    return value


def _fill(text: str, known: dict[str, Any]) -> str:
    """The text with every @{reference.path} replaced.  Raises Refused for one that leads nowhere."""

    def value(match: re.Match[str]) -> str:
        try:
            found = known[match[1]]
            for name, index in _STEP.findall(match[2]):
                found = found[name] if name else found[int(index)]
        except (KeyError, IndexError, TypeError):
            raise Refused("PROCESSING_HALTED", f"Invalid reference specified. No value for {match[0]}") from None
        return str(found)

    return _REFERENCE.sub(value, text)
