"""What services of ours share: they stop at a signal, and tell on loopback how they are."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

from ops.stack.ports import HOST

log = logging.getLogger(__name__)

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM and SIGINT from now on."""
    stop = threading.Event()

    def ask(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop


def tell(port: int, answer: Callable[[str], Answer]) -> ThreadingHTTPServer:
    """Answer GET requests for a path, on a thread of its own.

    Raises:
        OSError: The port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args)

    server = ThreadingHTTPServer((HOST, port), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
