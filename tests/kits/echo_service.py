"""``python -m tests.kits.echo_service TEXT``: a service that says TEXT, for tests of the stack's registry."""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{sys.argv[1]}, redis at {os.environ['MARKETPLACE_REDIS_URL']}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["ECHO_PORT"])), Handler).serve_forever()
