"""HTTP to Salesforce in threads: time-outs, trust, measured answers. The only place that blocks.

No thread outlives its call: connect and read have time-outs, a body that trickles is given up at the deadline, and
a call whose caller is gone has its socket shut down under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from services.salesforce import answers

T = TypeVar("T")

_CHUNK = 65_536
_LATE = 0.25
"""Seconds after the deadline at which a thread that did not give up by itself is made to."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one HTTP request, also of one that failed.

    sent: some of it may have reached Salesforce
    """

    method: str
    sent: bool
    status: int | None = None
    usage: answers.Usage | None = None
    began_ms: int | None = None
    retry_after: float | None = None


class _Adapter(HTTPAdapter):
    """Reports every socket it opens, so that it can be shut down from outside its thread."""

    def __init__(self, opened: Callable[[object], None]) -> None:
        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        class Tls(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        self._pools = {
            "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
            "https": type("_TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": Tls}),
        }
        super().__init__(pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class Wire(requests.Session):
    """A requests session that one thread uses at a time, for one request at a time.

    deadline: moment of `time.monotonic()` at which the request under way is given up
    plain: hosts to which an https:// address means http://, for simple-salesforce knows no other
    into: where the body goes, None to keep it in memory
    """

    def __init__(self, ca_file: Path | None, connect_seconds: float) -> None:
        super().__init__()
        # A .netrc would replace our Authorization header; proxies are taken from the environment in `send`.
        self.trust_env = False
        self.verify = str(ca_file) if ca_file else True
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.deadline = 0.0
        self.plain: frozenset[str] = frozenset()
        self.into: IO[bytes] | None = None
        self.seen: Seen | None = None
        self._connect_seconds = connect_seconds
        self._sockets: list[socket.socket] = []
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self._opened))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if self.seen is not None:
            raise RuntimeError("a call is one HTTP request: the budget has counted one")
        method = request.method or "GET"
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise requests.ReadTimeout("no time left to send")
        request.url = self._address(request.url or "")
        request.headers.pop("X-PrettyPrint", None)
        self.seen = Seen(method, sent=True)  # while it is under way nobody knows better
        timeout = (min(self._connect_seconds, remaining), remaining)
        options |= {"timeout": timeout, "stream": True, "allow_redirects": False}
        options["proxies"] = _proxies(request.url)
        began = time.monotonic()
        try:
            response = super().send(request, **options)
        except requests.RequestException as error:
            self.seen = Seen(method, sent=not _never_connected(error))
            raise
        self.seen = _seen(method, response, time.monotonic() - began)
        self._read(response)
        return response

    def _address(self, url: str) -> str:
        parts = urlsplit(url)
        return parts._replace(scheme="http").geturl() if parts.netloc.lower() in self.plain else url

    def _read(self, response: requests.Response) -> None:
        """Take the body into memory; that of a success into `into`, where there is one."""
        into = (self.into if response.status_code == HTTPStatus.OK else None) or io.BytesIO()
        raw: urllib3.HTTPResponse = response.raw
        try:
            while chunk := raw.read1(_CHUNK, decode_content=True):
                into.write(chunk)
                if time.monotonic() > self.deadline:
                    raise requests.ReadTimeout("the body did not end in time")
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        finally:
            raw.close()
        into.seek(0)
        response.raw = into

    def _opened(self, opened: object) -> None:
        alive = [known for known in self._sockets if known.fileno() >= 0]
        self._sockets = [*alive, opened] if isinstance(opened, socket.socket) else alive

    def abort(self) -> None:
        """Make the thread that uses this wire fail at once; to be called from any other thread."""
        self.deadline = 0.0
        for opened in self._sockets:
            # The plain shutdown: that of an SSL socket takes its state away under the reading thread.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _proxies(url: str) -> dict[str, str]:
    """Proxies of the environment; none for this machine itself."""
    loopback = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    return {} if loopback else dict(get_environ_proxies(url))


def _never_connected(error: requests.RequestException) -> bool:
    """Whether the request certainly did not reach Salesforce."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)  # of urllib3's MaxRetryError
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _seen(method: str, response: requests.Response, elapsed: float) -> Seen:
    wait = response.headers.get("Retry-After", "")
    return Seen(
        method=method,
        sent=True,
        status=response.status_code,
        usage=answers.usage(response.headers),
        began_ms=answers.began_ms(response.headers, elapsed),
        retry_after=float(wait) if wait.isdecimal() else None,
    )


@dataclass(slots=True, eq=False)
class Lease:
    """A wire while one call has it; afterwards the wire is another's and `abort` does nothing."""

    wire: Wire
    ended: bool = False

    def abort(self) -> None:
        if not self.ended:
            self.wire.abort()


class Transport:
    """Threads and wires; the wires are kept open between calls."""

    def __init__(self, threads: int, ca_file: Path | None, connect_seconds: float) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="salesforce")
        self._make = partial(Wire, ca_file, connect_seconds)
        self._idle: list[Wire] = []
        self._leases: set[Lease] = set()

    async def run(self, deadline: float, work: Callable[[Wire], T], lease: Lease | None = None) -> T:
        """Run `work` in a thread, with a wire from `lease()` or one of its own.

        Returns or raises what `work` does; requests.Timeout shortly after the deadline at the latest. A cancelled
        call has its socket shut down; its wire comes back when its thread has ended.
        """
        lease = lease or self.lease()
        lease.wire.deadline = deadline
        self._leases.add(lease)
        future = asyncio.get_running_loop().run_in_executor(self._executor, work, lease.wire)
        future.add_done_callback(partial(self._back, lease))
        try:
            await asyncio.wait({future}, timeout=max(0.0, deadline - time.monotonic()) + _LATE)
            if not future.done():
                lease.abort()
                await asyncio.wait({future}, timeout=_LATE)
        except asyncio.CancelledError:
            lease.abort()
            raise
        if not future.done():
            raise requests.Timeout("the thread does not end: name resolution hangs")
        return future.result()

    def lease(self) -> Lease:
        """A wire that nobody uses, for one `run`."""
        wire = self._idle.pop() if self._idle else self._make()
        wire.into, wire.seen = None, None
        return Lease(wire)

    def _back(self, lease: Lease, future: asyncio.Future[Any]) -> None:
        lease.ended = True
        self._leases.discard(lease)
        self._idle.append(lease.wire)
        if not future.cancelled():
            future.exception()  # looked at here, for its caller may be gone

    def abort(self) -> None:
        """Fail every call under way."""
        for lease in self._leases:
            lease.abort()

    def close(self) -> None:
        """Give up every call and all connections. Call it when nothing runs any more."""
        self.abort()
        self._executor.shutdown(wait=False, cancel_futures=True)
        for wire in self._idle:
            wire.close()
