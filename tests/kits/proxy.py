"""The real nginx with the product's configuration, services behind it that record, and clients that send anything."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ops.stack.errors import StackError
from ops.stack.proxy.files import CERTIFICATE, CONFIGURATION, UPSTREAMS, ProxyPorts, write_folder
from ops.stack.proxy.settings import ProxySettings
from runtime.ports import free_ports

DEADLINE_SECONDS = 15.0
LOOPBACK = "127.0.0.1"


def nginx_program() -> str:
    """The path of nginx; skips, with the reason, where there is none."""
    try:
        return ProxySettings.load({}).find_program()
    except StackError:
        pytest.skip("no nginx on this machine; 'make setup' installs it as root where apt-get is")


@dataclass(frozen=True)
class Seen:
    """A request as a service got it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: tuple[str, int]

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True)
class Reply:
    """What a service answers; a status of 0 closes the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


class Service(ThreadingHTTPServer):
    """A service that remembers requests; its name is in the header ``x-service`` of each answer.

    Attributes:
        seen: All requests.
        reply: From a request to the answer; may wait.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, name: str) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.name = name
        self.seen: list[Seen] = []
        self.reply: Callable[[Seen], Reply] = lambda seen: Reply()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self) -> None:
        """Forget what was seen, and answer as usual."""
        self.seen, self.reply = [], lambda seen: Reply()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A proxy may close a connection at any moment."""


class _Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = Seen(self.command, self.path, list(self.headers.items()), body, self.client_address)
        self.server.seen.append(seen)
        reply = self.server.reply(seen)
        if not reply.status:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {**reply.headers, "x-service": self.server.name}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Got:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def service(self) -> str:
        """Which service answered; empty for the proxy itself."""
        return self.headers.get("x-service", "")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Proxy:
    """A running nginx.

    Attributes:
        port: For https.
        http_port: For http.
        admin_port: For probes.
        folder: Its configuration and certificate.
        log: What it wrote.
        services: Behind it, by name.
        process: Its master.
    """

    port: int
    http_port: int
    admin_port: int
    folder: Path
    log: Path
    services: dict[str, Service]
    process: subprocess.Popen[bytes]

    def tls(self, **bounds: ssl.TLSVersion) -> ssl.SSLContext:
        """A client's side, which trusts the certificate and nothing else."""
        context = ssl.create_default_context(cafile=str(self.folder / CERTIFICATE))
        for name, version in bounds.items():
            setattr(context, name, version)
        return context

    def connect(self, source: str = LOOPBACK, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A connection from an address of this machine (127.0.0.0/8)."""
        plain = socket.create_connection((LOOPBACK, self.port), DEADLINE_SECONDS, (source, 0))
        return (context or self.tls()).wrap_socket(plain, server_hostname="localhost")

    def send(self, raw: bytes, source: str = LOOPBACK) -> Got:
        """Send bytes, and read one answer."""
        with self.connect(source) as connection:
            connection.sendall(raw)
            return read_answer(connection)

    def ask(
        self, method: str, path: str, body: bytes = b"", source: str = LOOPBACK, host: str = "localhost", **headers: str
    ) -> Got:
        """Send one request; underscores in names of headers become hyphens."""
        given = {"Host": f"{host}:{self.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body or method not in ("GET", "HEAD"):
            given["Content-Length"] = str(len(body))
        return self.send(request(method, path, given, body), source)

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def line_of(self, request_id: str) -> dict[str, Any]:
        """The line of one request in the access log; waits until it is there."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            found = [line for line in self.lines() if line["request_id"] == request_id]
            if found:
                return found[0]
            assert time.monotonic() < deadline, f"no line of {request_id}: {self.log.read_text()[-2_000:]}"
            time.sleep(0.02)


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request of HTTP/1.1."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def read_answer(connection: socket.socket) -> Got:
    """One answer from a connection."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Got(response.status, response.headers, response.read())


@contextmanager
def running_proxy(
    folder: Path, values: Mapping[str, str] | None = None, upstreams: Mapping[str, int] | None = None, **variables: str
) -> Iterator[Proxy]:
    """nginx in front of three recording services.

    Args:
        folder: Its folder; made here.
        values: Files of ``values/`` that take the place of those for this machine.
        upstreams: Ports of services that already listen, by name.
        variables: Settings, without their prefix.
    """
    program = nginx_program()
    settings = ProxySettings.load({f"MARKETPLACE_PROXY_{name}": value for name, value in variables.items()})
    services = {name: Service(name) for name in UPSTREAMS}
    https, plain, admin = free_ports(3)
    ports = {name: service.server_address[1] for name, service in services.items()} | dict(upstreams or {})
    write_folder(folder, settings, ProxyPorts(https, plain, admin, ports))
    for name, text in (values or {}).items():
        (folder / "values" / name).write_text(text)
    log = folder / "proxy.log"
    with ExitStack() as stack:
        for service in services.values():
            stack.callback(service.server_close)
            stack.callback(service.shutdown)
        out = stack.enter_context(log.open("ab"))
        command = [program, "-p", str(folder), "-c", str(folder / CONFIGURATION), "-e", "stderr", "-g", "daemon off;"]
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until(lambda: process.poll() is not None or _listens(admin), "nginx listens")
            assert process.poll() is None, log.read_text()
            yield Proxy(https, plain, admin, folder, log, services, process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise


def wait_until(holds: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until something holds, up to a deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
