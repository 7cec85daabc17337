"""The public routes, all of them."""

from __future__ import annotations

from aiohttp import web

from services.kernel.auth import Verifier
from services.notifier import ticket_route
from services.notifier.account_route import AccountRoute
from services.notifier.answers import Answers
from services.notifier.callers import Callers
from services.notifier.hub import Hub
from services.notifier.order_route import OrderRoute
from services.notifier.reader import Reader
from services.notifier.snapshot import Snapshots
from services.notifier.ticket_route import TicketRoute
from services.notifier.tickets import Tickets


def application(hub: Hub, reader: Reader, snapshots: Snapshots, verifier: Verifier, issued: Tickets) -> web.Application:
    answers = Answers(hub)
    callers = Callers(hub, reader, verifier, issued)
    ticket = TicketRoute(callers, issued, hub.settings.allowed_origins)
    app = web.Application(middlewares=[answers.stream], client_max_size=4096)
    app.router.add_get("/orders/events", AccountRoute(hub, reader, snapshots, callers, answers).get, allow_head=False)
    order = OrderRoute(hub, reader, snapshots, callers, answers)
    app.router.add_get("/orders/{order_id}/events", order.get, allow_head=False)
    app.router.add_post(ticket_route.PATH, ticket.post)
    app.router.add_options(ticket_route.PATH, ticket.preflight)
    app.on_response_prepare.append(ticket.allow)
    return app
