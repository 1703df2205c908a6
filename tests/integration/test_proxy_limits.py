"""What one client may cost the proxy, what clients get while a service is unavailable, and reloads."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ops.stack.proxy.certificate import ensure_certificate
from ops.stack.proxy.files import CERTIFICATE, CONFIGURATION, TEMPLATE
from runtime.ports import free_ports
from tests.kits.depth import LONG
from tests.kits.proxy import (
    LOOPBACK,
    Got,
    Proxy,
    Reply,
    Seen,
    Service,
    nginx_program,
    read_answer,
    request,
    running_proxy,
    wait_until,
)

BALANCER = "127.7.7.7"
CONNECTIONS = 256
HOST = {"Host": "localhost"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("proxy") / "proxy", TRUSTED_PROXIES=BALANCER) as proxy:
        yield proxy


@pytest.fixture
def proxy(running: Proxy) -> Proxy:
    for service in running.services.values():
        service.reset()
    return running


def is_closed_within(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("begun", [pytest.param(b"", marks=LONG), b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_head_that_comes_byte_by_byte_is_cut_after_ten_seconds(proxy: Proxy, begun: bytes) -> None:
    started = time.monotonic()
    with proxy.connect() as slow:
        slow.sendall(begun)
        slow.settimeout(0.25)
        while time.monotonic() - started < 20:
            try:
                if begun:
                    slow.sendall(b"a")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except (ConnectionError, ssl.SSLError):
                break
    assert 9 <= time.monotonic() - started < 15
    assert proxy.services["api"].seen == []


def test_a_client_that_stops_in_the_middle_of_a_body_is_cut_and_costs_no_service_anything(proxy: Proxy) -> None:
    with proxy.connect() as slow:
        slow.sendall(request("POST", "/v1/collect", {**HOST, "Content-Length": "1000"}, b"x" * 999))
        started = time.monotonic()
        assert is_closed_within(slow, 8)
        assert time.monotonic() - started >= 4
    assert proxy.services["collector"].seen == []


@contextmanager
def held(proxy: Proxy, *requests: tuple[int, str, str]) -> Iterator[None]:
    """Requests to the API that are not answered before the end: how many, from where, and for whom."""
    api, released = proxy.services["api"], threading.Event()

    def reply(seen: Seen) -> Reply:
        if seen.path == "/v1/held":
            released.wait(25)
        return Reply()

    api.reply = reply
    context = proxy.tls()
    with ExitStack() as stack:
        stack.callback(released.set)
        for count, source, address in requests:
            for _ in range(count):
                connection = stack.enter_context(proxy.connect(source, context))
                connection.sendall(request("GET", "/v1/held", {**HOST, "X-Forwarded-For": address}))
        wait_until(lambda: len(api.seen) == sum(count for count, _, _ in requests), "all have arrived")
        yield


def test_an_address_has_so_many_requests_at_one_time_and_others_are_not_concerned(proxy: Proxy) -> None:
    with held(proxy, (CONNECTIONS, "127.3.0.1", "")):
        refused = proxy.ask("GET", "/v1/x", source="127.3.0.1")
        assert (refused.status, refused.headers["retry-after"]) == (429, "2")
        assert refused.json()["type"] == "/problems/too-many-requests"
        collector = proxy.ask("GET", "/m.js", source="127.3.0.1")
        assert (collector.status, collector.headers["retry-after"]) == (429, "2")
        assert collector.json()["error"]["code"] == "too_many_requests"
        page = proxy.ask("GET", "/", source="127.3.0.1")
        assert (page.status, page.headers["retry-after"]) == (429, "2")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert proxy.ask("GET", "/v1/x", source="127.3.0.2").status == 200
    wait_until(lambda: proxy.ask("GET", "/v1/x", source="127.3.0.1").status == 200, "it may ask again")


def test_all_addresses_of_an_ipv6_network_are_one_client(proxy: Proxy) -> None:
    def status(address: str) -> int:
        return proxy.ask("GET", "/v1/x", source=BALANCER, X_Forwarded_For=address).status

    half = CONNECTIONS // 2
    with held(proxy, (half, BALANCER, "2001:db8:1:2::1"), (half, BALANCER, "2001:db8:1:2:a:0:0:9")):
        assert status("2001:db8:1:2:ffff::") == 429
        assert status("2001:db8:1:3::1") == 200


@pytest.mark.parametrize(
    ("path", "service", "at_once", "source"),
    [
        ("/v1/x", "api", 1_200, "127.3.1.1"),
        ("/m.js", "collector", 2_000, "127.3.1.2"),
        ("/page", "dashboard", 500, "127.3.1.3"),
    ],
)
def test_requests_of_an_address_are_bounded_above_what_the_services_allow(
    proxy: Proxy, path: str, service: str, at_once: int, source: str
) -> None:
    # Nobody has to answer for the count.
    proxy.services[service].reply = lambda seen: Reply(204, b"", {})
    statuses: list[int] = []
    lock = threading.Lock()

    # Many at one time on few connections: a client that waits for each answer is too slow to be refused.
    with ExitStack() as stack:
        burst = [stack.enter_context(proxy.connect(source)) for _ in range(8)]
        share = at_once // len(burst) + 200
        pipelined = request("GET", path, HOST) * share
        readers = [threading.Thread(target=_count, args=(connection, share, statuses, lock)) for connection in burst]
        for reader in readers:
            reader.start()
        for connection in burst:
            threading.Thread(target=connection.sendall, args=(pipelined,), daemon=True).start()
        for reader in readers:
            reader.join(60)
    refused = statuses.count(429)
    assert refused > 0
    assert len(statuses) - refused >= at_once
    assert set(statuses) == {204, 429}


def _count(connection: ssl.SSLSocket, share: int, statuses: list[int], lock: threading.Lock) -> None:
    text = b""
    connection.settimeout(30)
    found: list[int] = []
    while len(found) < share:
        piece = connection.recv(1 << 16)
        if not piece:
            break
        text += piece
        found = [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", text)]
    with lock:
        statuses += found


@pytest.fixture
def nobody() -> int:
    """A port on which nobody listens."""
    return free_ports(1)[0]


@pytest.fixture
def full() -> Iterator[int]:
    """A port on which somebody listens who accepts nothing more."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((LOOPBACK, 0))
        listening.listen(0)
        port = int(listening.getsockname()[1])
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((LOOPBACK, port))
        yield port


def check_unavailable(proxy: Proxy, status: int) -> None:
    api = proxy.ask("POST", "/v1/x", b"{}")
    assert (api.status, api.headers["content-type"]) == (status, "application/problem+json")
    assert api.json() == {
        "type": "/problems/unavailable",
        "title": "A part of the system does not answer",
        "status": status,
        "request_id": api.headers["x-request-id"],
    }
    assert int(api.headers["retry-after"]) > 0
    assert api.headers["cache-control"] == "no-store"
    # What its clients send again after.
    collector = proxy.ask("POST", "/v1/collect", b"{}")
    assert (collector.status, collector.json()["error"]["code"]) == (503, "unavailable")
    assert int(collector.headers["retry-after"]) > 0
    assert collector.headers["access-control-allow-origin"] == "*"
    page = proxy.ask("GET", "/overview")
    assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert b"A part of the system does not answer" in page.body
    assert int(page.headers["retry-after"]) > 0


def test_a_service_on_which_nobody_listens_is_answered_for_at_once(tmp_path: Path, nobody: int) -> None:
    gone = dict.fromkeys(("api", "collector", "dashboard"), nobody)
    with running_proxy(tmp_path / "proxy", upstreams=gone) as proxy:
        started = time.monotonic()
        check_unavailable(proxy, 502)
        assert time.monotonic() - started < 6


def test_a_service_that_takes_no_connection_is_answered_for_after_two_seconds(tmp_path: Path, full: int) -> None:
    hung = dict.fromkeys(("api", "collector", "dashboard"), full)
    with running_proxy(tmp_path / "proxy", upstreams=hung) as proxy:
        started = time.monotonic()
        check_unavailable(proxy, 504)
        assert 5 < time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("method", "path", "tries"),
    [
        ("GET", "/v1/x", 2),
        ("POST", "/v1/x", 1),
        ("PATCH", "/v1/x", 1),
        # An event of a pixel would count twice.
        ("GET", "/v1/pixel.gif", 1),
        ("POST", "/v1/collect", 1),
    ],
)
def test_what_must_not_be_done_twice_is_sent_to_one_server_only(
    tmp_path: Path, method: str, path: str, tries: int
) -> None:
    first, second = Service("first"), Service("second")
    servers = "".join(f"server {LOOPBACK}:{each.server_address[1]};\n" for each in (first, second))
    seen: list[Seen] = []

    def cut(request: Seen) -> Reply:
        seen.append(request)
        return Reply(status=0)

    first.reply = second.reply = cut
    values = {"api.conf": servers, "collector.conf": servers}
    with running_proxy(tmp_path / "proxy", values=values) as proxy:
        assert proxy.ask(method, path).status in (502, 503)
    assert len(seen) == tries


def test_a_request_that_reached_nobody_goes_to_the_next_server(tmp_path: Path, nobody: int) -> None:
    servers = f"server {LOOPBACK}:{nobody};\nserver {LOOPBACK}:PORT;\n"
    second = Service("second")
    values = {"api.conf": servers.replace("PORT", str(second.server_address[1]))}
    with running_proxy(tmp_path / "proxy", values=values) as proxy:
        answers = {proxy.ask("POST", "/v1/x", b"{}").service for _ in range(4)}
    assert answers == {"second"}


def test_connections_to_the_services_are_used_again(proxy: Proxy) -> None:
    for _ in range(20):
        assert proxy.ask("GET", "/v1/x").status == 200
    # Each process of nginx has its own.
    assert len({seen.connection for seen in proxy.services["api"].seen}) <= 4


def test_an_answer_of_a_service_is_passed_on_as_it_is_also_where_it_is_an_error(proxy: Proxy) -> None:
    headers = {"content-type": "application/problem+json", "retry-after": "17"}
    for status in (400, 404, 413, 429, 500, 502, 503):
        reply = Reply(status, b'{"own": true}', headers)
        proxy.services["api"].reply = lambda seen, reply=reply: reply  # type: ignore[misc]  # mypy infers no lambda with a default
        answer = proxy.ask("POST", "/v1/x", b"{}")
        assert (answer.status, answer.body, answer.headers.get_all("retry-after")) == (status, reply.body, ["17"])


def copied(folder: Path) -> Path:
    """The configuration for production, with a certificate that is there, as its documentation says."""
    shutil.copytree(TEMPLATE, folder)
    ensure_certificate(folder / CERTIFICATE, ["shop.example"])
    listen = folder / "values" / "listen.conf"
    listen.write_text(re.sub(r"/etc/letsencrypt/\S+(?=;)", str(folder / CERTIFICATE), listen.read_text()))
    main = folder / "values" / "main.conf"
    main.write_text(main.read_text().replace("/run/nginx.pid", str(folder / "nginx.pid")).replace("user www-data;", ""))
    return folder


def said_of(folder: Path) -> str:
    """What nginx says of a configuration that it takes."""
    command = [nginx_program(), "-t", "-p", str(folder), "-c", str(folder / CONFIGURATION), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_nginx_takes_the_configuration_for_production_and_the_one_for_this_machine(
    tmp_path: Path, proxy: Proxy
) -> None:
    for folder in (copied(tmp_path / "nginx"), proxy.folder):
        said = said_of(folder)
        assert "test is successful" in said
        assert "[warn]" not in said
    assert (proxy.folder / CONFIGURATION).read_bytes() == (TEMPLATE / CONFIGURATION).read_bytes()


def test_production_tells_browsers_to_use_https_only_and_this_machine_does_not(tmp_path: Path, proxy: Proxy) -> None:
    own = (proxy.folder / "values" / "http.conf").read_text()
    production = re.search(r'map "" \$hsts \{.*?\}', (TEMPLATE / "values" / "http.conf").read_text(), re.DOTALL)
    assert production is not None
    changed = re.sub(r'map "" \$hsts \{.*?\}', production[0], own, flags=re.DOTALL)
    assert changed != own
    with running_proxy(tmp_path / "proxy", values={"http.conf": changed}) as strict:
        wanted = "max-age=300"
        for path in ("/v1/x", "/m.js", "/", "/metrics"):
            assert strict.ask("GET", path).headers.get_all("strict-transport-security") == [wanted], path
            assert proxy.ask("GET", path).headers.get_all("strict-transport-security") is None, path


def certificate_of(proxy: Proxy) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with proxy.connect(context=context) as connection:
        found = connection.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_a_new_certificate_is_used_after_a_reload_that_cuts_no_request(tmp_path: Path) -> None:
    with running_proxy(tmp_path / "proxy") as proxy:
        api, released = proxy.services["api"], threading.Event()

        def wait(seen: Seen) -> Reply:
            assert released.wait(20)
            return Reply(200, b"whole")

        api.reply = wait
        before = certificate_of(proxy)
        with proxy.connect() as running:
            running.sendall(request("GET", "/v1/slow", HOST))
            wait_until(lambda: len(api.seen) == 1, "the request has arrived")
            (proxy.folder / CERTIFICATE).unlink()
            ensure_certificate(proxy.folder / CERTIFICATE, ["localhost"])
            proxy.process.send_signal(signal.SIGHUP)
            wait_until(lambda: certificate_of(proxy) != before, "the new certificate is used")
            released.set()
            assert read_answer(running).body == b"whole"


def test_a_stop_in_order_lets_requests_end(tmp_path: Path) -> None:
    with running_proxy(tmp_path / "proxy") as proxy:
        api, released = proxy.services["api"], threading.Event()

        def wait(seen: Seen) -> Reply:
            assert released.wait(20)
            return Reply(200, b"whole")

        api.reply = wait
        with proxy.connect() as running:
            running.sendall(request("GET", "/v1/slow", HOST))
            wait_until(lambda: len(api.seen) == 1, "the request has arrived")
            proxy.process.send_signal(signal.SIGQUIT)
            wait_until(lambda: not _is_listening(proxy.port), "nobody listens any more")
            released.set()
            answer: Got = read_answer(running)
        assert answer.body == b"whole"
        assert proxy.process.wait(5) == 0


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
