"""The proxy as a service of the stack, in front of the real API, collector and dashboard."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from marketplace.topics import CLICKS_COLLECTED
from ops.stack import Stack, StackError
from ops.stack.parts.kafka_archive import prepared_kafka
from ops.stack.proxy.files import CERTIFICATE
from tests.kits.api import PASSWORD
from tests.kits.collector import read_topic, readable
from tests.kits.depth import LONG
from tests.kits.proxy import LOOPBACK, Got, nginx_program, read_answer, request, wait_until
from tests.kits.stack import all_gone, command, processes_of

CLI = "from ops.cli import main; main()"
BALANCER = "127.7.7.7"
NAMES = [
    *("kafka", "mongo", "clickhouse", "redis", "payments", "connect", "flow", "dead_letters", "relay", "consumers"),
    *("collector", "api", "dashboard", "proxy"),
]


@dataclass
class Up:
    """A stack with a proxy.

    Attributes:
        folder: Its data folder.
        document: What `up --json` said.
    """

    folder: Path
    document: dict[str, Any]

    @property
    def port(self) -> int:
        """The proxy's, for https."""
        port = self.document["ports"]["proxy"]
        assert isinstance(port, int)
        return port

    def connect(self, source: str = LOOPBACK) -> ssl.SSLSocket:
        """A connection to the proxy."""
        context = ssl.create_default_context(cafile=str(self.folder / "proxy" / CERTIFICATE))
        plain = socket.create_connection((LOOPBACK, self.port), 15, (source, 0))
        return context.wrap_socket(plain, server_hostname="localhost")

    def ask(self, method: str, path: str, body: Any = None, source: str = LOOPBACK, **headers: str) -> Got:
        """Send one request."""
        content = b"" if body is None else json.dumps(body).encode()
        given = {"Host": f"localhost:{self.port}", "Content-Length": str(len(content))}
        given |= {"Content-Type": "application/json"} if content else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        with self.connect(source) as connection:
            connection.sendall(request(method, path, given, content))
            return read_answer(connection)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    nginx_program()
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("up") / "data"
    code, said = command(
        folder, "up", "--proxy", "--ports", "auto", "--json", MARKETPLACE_PROXY_TRUSTED_PROXIES=BALANCER
    )
    try:
        assert code == 0, said
        yield Up(folder, json.loads(said))
    finally:
        Stack(folder, external={}).stop()


def test_up_starts_it_with_all_that_is_behind_it_and_status_shows_its_url(up: Up) -> None:
    assert [info["name"] for info in up.document["processes"]] == NAMES
    assert all(info["healthy"] for info in up.document["processes"])
    code, said = command(up.folder, "status")
    assert code == 0, said
    assert f"https://localhost:{up.port}" in said
    assert "left out" not in said


def test_the_keys_are_for_their_owner_only(up: Up) -> None:
    folder = up.folder / "proxy"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / CERTIFICATE).stat().st_mode) == 0o600


def test_each_service_answers_behind_it_and_none_shows_what_is_for_operators(up: Up) -> None:
    assert up.ask("GET", "/v1/identity/me").headers["content-type"] == "application/problem+json"
    assert b"/v1/collect" in up.ask("GET", "/m.js").body
    assert b"<title>" in up.ask("GET", "/").body
    for path in ("/livez", "/readyz", "/metrics", "/healthz", "/_stcore/metrics"):
        assert up.ask("GET", path).status == 404, path


def make_store(up: Up) -> str:
    code, said = command(up.folder, "stores", "create", "shop", "--timezone", "Europe/Berlin", "--json", cli=CLI)
    assert code == 0, said
    key = json.loads(said)["write_key"]
    assert isinstance(key, str)
    return key


def test_an_event_has_the_network_of_the_client_whatever_it_says_of_itself(up: Up) -> None:
    key = make_store(up)
    sent = {
        # From a client, which lies; and from one behind a load balancer that is named.
        "direct": ("127.8.9.10", "127.8.9.0"),
        "balanced": (BALANCER, "203.0.113.0"),
    }
    for event_id, (source, _) in sent.items():
        answer = up.ask(
            "POST",
            "/v1/collect",
            {"event_id": event_id, "url": "https://shop.example/"},
            source,
            X_Write_Key=key,
            X_Forwarded_For="198.51.100.9, 203.0.113.77",
            X_Real_IP="198.51.100.9",
        )
        assert answer.status == 202, answer.body
    clicks = {click.event_id: click for click in readable(read_topic(up.document["urls"]["kafka"], CLICKS_COLLECTED))}
    assert {event_id: clicks[event_id].ip for event_id in sent} == {
        event_id: network for event_id, (_, network) in sent.items()
    }


def test_the_api_limits_each_client_by_its_own_address(up: Up) -> None:
    def left(source: str, said: str) -> int:
        answer = up.ask("GET", "/v1/identity/me", source=source, X_Forwarded_For=said)
        found = re.search(r";r=(\d+);", answer.headers["ratelimit"])
        assert found is not None
        return int(found[1])

    first = [left("127.8.1.1", f"203.0.113.{n}") for n in range(12)]
    assert first[-1] < first[0] - 5
    assert left("127.8.1.2", "203.0.113.1") >= first[0]


def test_links_in_mails_lead_to_it(up: Up) -> None:
    body = {"email": "ann@shop.example", "name": "Ann", "password": PASSWORD}
    assert up.ask("POST", "/v1/identity/registrations", body).status == 202
    mails = up.folder / "mails"
    wait_until(lambda: mails.is_dir() and any(mails.glob("*.eml")), "a mail is written")
    (mail,) = mails.glob("*.eml")
    assert f"https://localhost:{up.port}/confirm#" in mail.read_text().replace("=\n", "").replace("=3D", "=")


def test_a_page_sees_the_dashboards_stream_only_from_its_own_address(up: Up) -> None:
    def open_from(connection: ssl.SSLSocket, origin: str) -> bytes:
        head = {
            "Host": f"localhost:{up.port}",
            "Origin": origin,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": "streamlit",
        }
        connection.sendall(request("GET", "/_stcore/stream", head))
        return read_head(connection).split(b"\r\n")[0]

    for origin in ("https://evil.example", f"https://localhost:{up.port + 1}", "https://localhost"):
        with up.connect() as connection:
            assert open_from(connection, origin).startswith(b"HTTP/1.1 403"), origin
    with up.connect() as connection:
        assert open_from(connection, f"https://localhost:{up.port}").startswith(b"HTTP/1.1 101")
        # A ping with four bytes, masked with zeros; what comes back is the pong, among whatever the page sends.
        connection.sendall(b"\x89\x84\0\0\0\0ping")
        received = b""
        while b"\x8a\x04ping" not in received:
            piece = connection.recv(4096)
            assert piece
            received += piece


def read_head(connection: ssl.SSLSocket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(1)
        assert piece, head
        head += piece
    return head


def test_a_stack_that_runs_says_that_it_has_one(up: Up) -> None:
    code, said = command(up.folder, "up", "--no-proxy")
    assert code == 1
    assert "--no-proxy (it runs with it)" in said
    code, said = command(up.folder, "up")
    assert (code, "The stack is running already" in said, "runs without" in said) == (0, True, False)


def test_it_is_back_after_its_end_and_its_workers_end_with_it(up: Up) -> None:
    stack = Stack(up.folder, external={})
    workers = workers_of(stack.pid("proxy"))
    assert workers
    stack.kill("proxy")
    stack.wait_healthy("proxy")
    assert not workers & workers_of(stack.pid("proxy"))
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers have ended")
    assert up.ask("GET", "/m.js").status == 200


def workers_of(master: int) -> set[int]:
    return set(map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split()))


@LONG
def test_down_stops_it_and_a_start_remembers_it_until_another_says_otherwise(up: Up) -> None:
    stack = Stack(up.folder, external={})
    with up.connect() as open_page:
        open_page.sendall(request("GET", "/m.js", {"Host": "localhost"}))
        assert read_answer(open_page).status == 200
        processes = processes_of(stack) | dict.fromkeys(workers_of(stack.pid("proxy")), 0)
        started = time.monotonic()
        code, said = command(up.folder, "down")
        assert code == 0, said
        assert time.monotonic() - started < 30
    assert all_gone({pid: start for pid, start in processes.items() if start})
    assert [pid for pid, start in processes.items() if not start and Path(f"/proc/{pid}").exists()] == []

    certificate = (up.folder / "proxy" / CERTIFICATE).read_bytes()
    # A start of some of it neither has it nor forgets it.
    assert started_with(up.folder, "--only", "redis") == ["redis"]
    command(up.folder, "down")
    assert started_with(up.folder) == NAMES
    assert (up.folder / "proxy" / CERTIFICATE).read_bytes() == certificate
    assert up.ask("GET", "/m.js").status == 200
    command(up.folder, "down")
    assert started_with(up.folder, "--no-proxy", "--only", "redis") == ["redis"]
    code, said = command(up.folder, "up", "--proxy")
    assert code == 1
    assert "--proxy (it runs without)" in said
    command(up.folder, "down")
    assert json.loads((up.folder / "state.json").read_text())["requested"] == []


def started_with(folder: Path, *options: str) -> list[str]:
    code, said = command(folder, "up", "--json", *options)
    assert code == 0, said
    return [info["name"] for info in json.loads(said)["processes"]]
