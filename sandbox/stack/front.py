"""The front port: Caddy from a wheel, one address for portal, gateways, notifiers and identity.

Round robin without stickiness. An instance that is gone is skipped, and a request that it had not answered
goes to the other one; streams are passed on byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sandbox.stack import wheels
from sandbox.stack.ports import HOST
from sandbox.stack.program import Program, accepts


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Where requests go: host:port of each instance, and the folder of static files."""

    gateways: Sequence[str]
    notifiers: Sequence[str]
    identity: str
    portal: Path


async def prepare(state: Path, port: int, routes: Routes) -> Program:
    home = (state / "front").resolve()
    home.mkdir(parents=True, exist_ok=True)
    config = home / "Caddyfile"
    config.write_text(caddyfile(port, routes))
    return Program(
        name="front",
        argv=(str(wheels.caddy()), "run", "--config", str(config), "--adapter", "caddyfile"),
        log=state / "logs" / "front.log",
        address=f"http://{HOST}:{port}",
        port=port,
        ready=partial(accepts, HOST, port),
        env=dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(home)),
    )


def caddyfile(port: int, routes: Routes) -> str:
    """Order matters: a stream's paths lie among the gateway's."""
    return f"""\
{{
	admin off
	auto_https off
	persist_config off
	grace_period 2s
	log {{
		level WARN
	}}
}}

http://localhost:{port}, http://{HOST}:{port} {{
	bind {HOST}

	@streams path /orders/events /orders/*/events /orders/events/ticket
	handle @streams {{
		{_proxy(routes.notifiers, streams=True)}
	}}

	@reads path /orders /orders/* /catalog /catalog/* /accounts /accounts/* /openapi.json
	handle @reads {{
		{_proxy(routes.gateways, streams=False)}
	}}

	handle /identity/* {{
		reverse_proxy {routes.identity} {{
			lb_try_duration 2s
		}}
	}}

	handle {{
		root * {_quoted(routes.portal)}
		header Cache-Control no-cache
		file_server
	}}
}}
"""


# A notifier that is not ready says so inside a stream, with the time to come back.
_FLUSH = "flush_interval -1"
_PROBE = """health_uri /health/ready
			health_interval 1s
			health_timeout 1s"""


def _proxy(instances: Sequence[str], *, streams: bool) -> str:
    # A dead instance refuses connections at once, so a dial is tried again on the next one within this time.
    return f"""\
reverse_proxy {" ".join(instances)} {{
			lb_policy round_robin
			lb_try_duration 5s
			lb_try_interval 50ms
			fail_duration 1s
			max_fails 1
			{_FLUSH if streams else _PROBE}
			transport http {{
				dial_timeout 500ms
			}}
		}}"""


def _quoted(path: Path) -> str:
    escaped = str(path).replace('"', '\\"')
    return f'"{escaped}"'
