"""Tiny programs for the supervisor to keep."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.stack.ports import FREE, HOST
from sandbox.stack.program import Program, accepts

LISTENER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *words): pass
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

STREAMER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if "events" in self.path else "text/plain")
        self.end_headers()
        if "events" in self.path:
            self.wfile.write(b"data: first\\n\\n")
            self.wfile.flush()
            time.sleep(30)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTENER

MOURNED = "import sys\nsys.exit('no such planet: Vulcan')"


def program(state: Path, name: str, source: str = LISTENER, **changes: Any) -> Program:
    port = FREE.take()
    options: dict[str, Any] = {
        "name": name,
        "argv": (sys.executable, "-c", source, str(port), name),
        "log": state / "logs" / f"{name}.log",
        "address": f"{HOST}:{port}",
        "port": port,
        "ready": partial(accepts, HOST, port),
        "start_within": 20.0,
    }
    return Program(**(options | changes))
