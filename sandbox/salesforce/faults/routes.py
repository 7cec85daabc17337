"""`/faults` on the control endpoint: arm, show, take off."""

from typing import Any

import msgspec
from aiohttp import web

from sandbox.salesforce.errors import not_found
from sandbox.salesforce.faults import catalog
from sandbox.salesforce.faults.board import Armed
from sandbox.salesforce.faults.fault import Fault
from sandbox.salesforce.rest.answers import INSTANCE


def add_routes(app: web.Application) -> None:
    app.router.add_get("/faults", _show)
    app.router.add_post("/faults", _arm)
    app.router.add_delete("/faults", _clear)
    app.router.add_delete("/faults/{id}", _disarm)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def _shown(armed: Armed[Fault]) -> dict[str, Any]:
    return {
        "id": armed.id,
        "fault": armed.fault,
        "hits": armed.hits,
        "left": armed.left,
    }


async def _show(request: web.Request) -> web.Response:
    """Every fault on the board; one that is used up has nothing left."""
    return _json({"faults": [_shown(armed) for armed in request.app[INSTANCE].faults.all()]})


async def _arm(request: web.Request) -> web.Response:
    """One fault or a list of them: all are armed, or none."""
    board = request.app[INSTANCE].faults
    armed = [board.arm(fault) for fault in catalog.read(await request.read())]
    return _json({"faults": [_shown(entry) for entry in armed]}, 201)


async def _clear(request: web.Request) -> web.Response:
    return _json({"faults": [_shown(armed) for armed in request.app[INSTANCE].faults.clear()]})


async def _disarm(request: web.Request) -> web.Response:
    if (armed := request.app[INSTANCE].faults.disarm(request.match_info["id"])) is None:
        raise not_found("no fault of this id")
    return _json({"faults": [_shown(armed)]})
