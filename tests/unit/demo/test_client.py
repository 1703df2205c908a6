"""The client of the demo's buyers asks a service with TLS as well, as deployments have it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from ops.demo.orders.client import client_of
from ops.stack.proxy.certificate import ensure_certificate


class _Fine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "certificate.pem"
    ensure_certificate(file, ["localhost"])
    return file


@pytest.fixture
def url(certificate: Path) -> Iterator[str]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), _Fine) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_that_the_machine_trusts_is_trusted(
    url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with closing(client_of(url)) as client:
        assert client.get("/").status_code == 204


def test_another_one_is_not(url: str) -> None:
    with closing(client_of(url)) as client, pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        client.get("/")
