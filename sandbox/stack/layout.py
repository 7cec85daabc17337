"""Which processes make up the local stack, what each needs first, and with which command and environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial

from sandbox.stack import coverage, environment, front, http, kafka, keys, postgres, valkey
from sandbox.stack.child import Announcement, Child
from sandbox.stack.ports import HOST
from sandbox.stack.program import Program, at_once
from sandbox.stack.settings import ROOT, StackSettings
from sandbox.stack.supervisor import Unit

GATEWAYS = ("gateway-1", "gateway-2")
NOTIFIERS = ("notifier-1", "notifier-2")


class Layout:
    """Builds the units; what the simulator says of itself at its start flows into those that need it."""

    def __init__(self, settings: StackSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._ports = settings.ports
        self._base = environment.base(environ)
        self._org: Announcement = {}

    @property
    def address(self) -> str:
        """What a person opens."""
        return f"http://{HOST}:{self._ports['front']}"

    @property
    def control(self) -> str:
        """Where a person edits the org."""
        return f"http://{HOST}:{self._ports['control']}"

    @property
    def identity(self) -> str:
        return f"http://{HOST}:{self._ports['identity']}/identity"

    def owner_environment(self) -> dict[str, str]:
        """What a command needs to reach this stack; the org's part is there once the org is ready."""
        return {
            **environment.kafka(self._ports),
            **environment.database(self._ports, postgres.OWNER),
            **environment.valkey(self._ports),
            **(environment.salesforce(self._org) if self._org else {}),
            **environment.tokens(self._ports, keys.cursor_key(self._settings.state)),
            "UMBRA_PRICEBOOK": self._base["UMBRA_PRICEBOOK"],
        }

    def units(self) -> list[Unit]:
        return [*self._servers(), *self._sandbox(), *self._services(), *self._first_fill(), self._front()]

    def _servers(self) -> list[Unit]:
        state, ports = self._settings.state, self._ports
        broker = partial(
            kafka.prepare, state, ports["kafka"], self._settings.cache, controller_port=ports["kafka-controller"]
        )
        return [
            Unit(name="kafka", build=broker),
            Unit(name="postgres", build=partial(postgres.prepare, state, ports["postgres"]), then=self._roles),
            Unit(name="valkey", build=partial(valkey.prepare, state, ports["valkey"])),
            Unit(name="migrate", needs=("kafka", "postgres"), build=partial(self._command, "migrate"), job=True),
        ]

    def _sandbox(self) -> list[Unit]:
        return [
            Unit(name="salesforce", build=self._salesforce, then=self._meet_org),
            Unit(name="identity", needs=("salesforce",), build=self._identity),
            Unit(name="fulfilment", needs=("salesforce", "identity", "migrate"), build=self._fulfilment),
        ]

    def _services(self) -> list[Unit]:
        base = ("migrate", "valkey")
        with_org = (*base, "salesforce")
        gateways = [Unit(name=name, needs=with_org, build=partial(self._service, name)) for name in GATEWAYS]
        notifiers = [Unit(name=name, needs=base, build=partial(self._service, name)) for name in NOTIFIERS]
        return [
            *gateways,
            *notifiers,
            Unit(name="projector", needs=base, build=partial(self._service, "projector")),
            Unit(name="ingestor", needs=with_org, build=partial(self._service, "ingestor")),
        ]

    def _first_fill(self) -> list[Unit]:
        needs = ("ingestor", "projector")
        return [Unit(name="backfill", needs=needs, build=self._backfill, then=self._covered, job=True)]

    def _front(self) -> Unit:
        return Unit(name="front", needs=(*GATEWAYS, *NOTIFIERS, "identity"), build=self._front_port)

    async def _roles(self, child: Child) -> None:
        await postgres.ensure_roles(child.program.port)
        await postgres.ensure_database(child.program.port, postgres.DATABASE)

    async def _meet_org(self, child: Child) -> None:
        self._org = child.announcement() or {}

    async def _salesforce(self) -> Program:
        options = {
            "--http-port": self._ports["salesforce-http"],
            "--https-port": self._ports["salesforce-https"],
            "--grpc-port": self._ports["salesforce-grpc"],
            "--grpc-tls-port": self._ports["salesforce-grpc-tls"],
            "--control-port": self._ports["control"],
        }
        if self._settings.products is not None:
            options["--products"] = self._settings.products
        return self._sandbox_program("salesforce", self.control, options)

    async def _identity(self) -> Program:
        options = {
            "--port": self._ports["identity"],
            "--salesforce-control": self.control,
            "--issuer": environment.ISSUER,
            "--audience": environment.AUDIENCE,
        }
        return self._sandbox_program("identity", self.identity, options)

    def _sandbox_program(self, name: str, address: str, options: Mapping[str, object]) -> Program:
        state = self._settings.state / name
        words = [str(word) for pair in options.items() for word in pair]
        return self._python(
            name,
            ("-m", f"sandbox.{name}", "--state-dir", str(state), *words),
            address=address,
            announces=True,
        )

    async def _fulfilment(self) -> Program:
        extra = {
            **environment.salesforce(self._org),
            "UMBRA_GATEWAY_URL": self.address,
            "UMBRA_IDENTITY_URL": self.identity,
        }
        return self._admin_program("fulfilment", ("-m", "sandbox.fulfilment"), extra)

    async def _service(self, name: str) -> Program:
        """One instance of a service; it gets only what that service uses."""
        service = name.partition("-")[0]
        role = postgres.PROJECTOR if service == "projector" else postgres.READER
        reaches_org = service in {"gateway", "ingestor"}
        extra = {
            **environment.database(self._ports, role),
            **environment.valkey(self._ports),
            **(environment.salesforce(self._org) if reaches_org else {}),
            **environment.tokens(self._ports, keys.cursor_key(self._settings.state)),
        }
        return self._admin_program(name, ("-m", f"services.{service}"), extra)

    def _admin_program(self, name: str, words: Sequence[str], extra: Mapping[str, str]) -> Program:
        ready = f"http://{HOST}:{self._ports[f'{name}-admin']}/health/ready"
        port = self._ports.get(name, self._ports[f"{name}-admin"])
        env = {**environment.kafka(self._ports), **environment.listener(self._ports, name), **extra}
        return self._python(name, words, address=f"http://{HOST}:{port}", env=env, health=ready)

    async def _backfill(self) -> Program | None:
        if await coverage.complete(self._ports["postgres"]):
            return None
        return self._ops("backfill", "--all", "--execute")

    async def _covered(self, child: Child) -> None:
        """Everything that the backfill wrote is in the rows."""
        await coverage.until_complete(self._ports["postgres"])

    async def _command(self, name: str) -> Program:
        return self._ops(name)

    def _ops(self, name: str, *words: str) -> Program:
        return self._python(name, ("-m", "services.ops", name, *words), env=self.owner_environment())

    async def _front_port(self) -> Program:
        routes = front.Routes(
            gateways=[f"{HOST}:{self._ports[name]}" for name in GATEWAYS],
            notifiers=[f"{HOST}:{self._ports[name]}" for name in NOTIFIERS],
            identity=f"{HOST}:{self._ports['identity']}",
            portal=ROOT / "portal",
        )
        return await front.prepare(self._settings.state, self._ports["front"], routes)

    def _python(
        self,
        name: str,
        words: Sequence[str],
        *,
        address: str = "",
        env: Mapping[str, str] | None = None,
        health: str = "",
        announces: bool = False,
    ) -> Program:
        return Program(
            name=name,
            argv=(sys.executable, *words),
            log=self._settings.state / "logs" / f"{name}.log",
            address=address,
            port=int(address.rpartition(":")[2].partition("/")[0] or 0),
            ready=partial(http.answers_ok, health) if health else at_once,
            health=health,
            announces=announces,
            env={**self._base, **(env or {})},
        )
