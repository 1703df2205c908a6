"""What the proxy makes of requests: which service gets them, what it learns of the client, and what is refused."""

from __future__ import annotations

import gzip
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.web.bodies import MAX_BODY_BYTES as API_BODY_BYTES
from api.web.problems import PROBLEM_TYPES
from ingest.config import MAX_BODY_BYTES
from marketplace.catalog.csv_files import MAX_BYTES as FILE_BYTES
from marketplace.clicks.visitors import truncate_ip
from ops.reference.access import rules
from tests.kits.proxy import Got, Proxy, Reply, Seen, read_answer, request, running_proxy
from tests.kits.stack import eventually

BALANCER = "127.7.7.7"
COLLECTOR_BODY_BYTES = MAX_BODY_BYTES.default
TYPES = {kind.uri: kind for kind in PROBLEM_TYPES}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("proxy") / "proxy", TRUSTED_PROXIES=BALANCER) as proxy:
        yield proxy


@pytest.fixture
def proxy(running: Proxy) -> Proxy:
    for service in running.services.values():
        service.reset()
    return running


def seen_by(proxy: Proxy) -> list[Seen]:
    return [seen for service in proxy.services.values() for seen in service.seen]


def problem_of(answer: Got) -> str:
    """The kind of an API's problem, as its catalogue knows it."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    kind = TYPES[document["type"]]
    assert (document["title"], document["status"]) == (kind.title, answer.status)
    assert document["request_id"] == answer.headers["x-request-id"]
    return kind.name


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/v1/identity/me", "api"),
        ("/v1/", "api"),
        ("/v1", "api"),
        ("/v1/collections", "api"),
        ("/v1/collect/x", "api"),
        ("/v1/pixelXgif", "api"),
        ("/openapi.json", "api"),
        ("/docs", "api"),
        ("/docs/page.js", "api"),
        ("/problems", "api"),
        ("/problems/too-large", "api"),
        ("/.well-known/jwks.json", "api"),
        ("/v1/collect?key=x", "collector"),
        ("/v1/import", "collector"),
        ("/v1/pixel.gif?key=x", "collector"),
        ("/m.js", "collector"),
        ("/shop", "api"),
        ("/shop/teahouse/mug", "api"),
        ("/", "dashboard"),
        ("/overview?store=teahouse", "dashboard"),
        ("/_stcore/health", "dashboard"),
        ("/v11", "dashboard"),
        ("/docsx", "dashboard"),
        ("/shops", "dashboard"),
        ("/openapi.jsonx", "dashboard"),
    ],
)
def test_each_path_has_one_service(proxy: Proxy, path: str, service: str) -> None:
    answer = proxy.ask("GET", path)
    assert (answer.status, answer.service) == (200, service)
    assert [seen.path for seen in seen_by(proxy)] == [path]


@pytest.mark.parametrize(
    "path",
    [
        "/livez",
        "/readyz",
        "/metrics",
        "/healthz",
        "/_stcore/metrics",
        "/metrics/",
        "/readyz/x",
        "//metrics",
        "/./metrics",
        "/v1/../metrics",
        "/%6detrics",
        "/v1/%2e%2e/livez",
        "/_stcore/./metrics",
        "/_stcore/%6d%65trics?x",
        "/metrics?x=1",
        "/~unreadable",
    ],
)
def test_what_is_for_operators_is_reached_from_outside_by_no_spelling(proxy: Proxy, path: str) -> None:
    assert proxy.ask("GET", path).status == 404
    assert seen_by(proxy) == []


@pytest.mark.parametrize("path", ["/v1/identity/me", "/m.js", "/"])
def test_a_service_learns_the_clients_address_and_nothing_that_the_client_says_of_it(proxy: Proxy, path: str) -> None:
    lies = {
        "X-Forwarded-For": "203.0.113.9",
        "x-forwarded-for": "203.0.113.10, 203.0.113.11",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9;host=evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Port": "81",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Server": "evil.example",
        "X_Forwarded_For": "203.0.113.9",
        "X_Request_Id": "underscore-1",
        "Via": "1.1 evil.example",
        "Proxy": "evil.example",
        "Connection": "keep-alive, X-Forwarded-For, Authorization",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
        "Authorization": "Bearer kept",
        "Host": "localhost",
    }
    answer = proxy.send(request("GET", path, lies), source="127.4.5.6")
    assert answer.status == 200
    (seen,) = seen_by(proxy)
    assert seen.all("x-forwarded-for") == ["127.4.5.6"]
    assert seen.all("x-forwarded-proto") == ["https"]
    assert seen.all("host") == ["localhost"]
    assert seen.all("authorization") == ["Bearer kept"]
    names = {name.lower() for name, _ in seen.headers}
    hidden = {"forwarded", "x-real-ip", "via", "proxy", "upgrade", "connection", "x_forwarded_for", "x_request_id"}
    hidden |= {f"x-forwarded-{name}" for name in ("host", "port", "prefix", "server")}
    assert names & hidden == set()
    assert [value for _, value in seen.headers if "203.0.113" in value or "evil" in value] == []


@pytest.mark.parametrize(
    ("source", "said", "believed"),
    [
        (BALANCER, "203.0.113.9", "203.0.113.9"),
        (BALANCER, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (BALANCER, f"203.0.113.9, {BALANCER}", "203.0.113.9"),
        (BALANCER, "2001:db8::17", "2001:db8::17"),
        (BALANCER, "nonsense", BALANCER),
        ("127.7.7.8", "203.0.113.9", "127.7.7.8"),
    ],
)
def test_a_load_balancer_is_believed_where_it_is_named_and_for_the_last_hop_only(
    proxy: Proxy, source: str, said: str, believed: str
) -> None:
    proxy.ask("GET", "/v1/x", source=source, X_Forwarded_For=said)
    (seen,) = seen_by(proxy)
    assert seen.all("x-forwarded-for") == [believed]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abcdef-123_X", True), ("short", False), ("x" * 65, False), ('quote"quote', False), ("with space", False)],
)
def test_a_request_has_one_id_in_the_service_the_log_and_the_answer(proxy: Proxy, given: str, kept: bool) -> None:
    proxy.ask("GET", "/v1/x", X_Request_Id=given)
    (seen,) = seen_by(proxy)
    (passed,) = seen.all("x-request-id")
    assert (passed == given) is kept
    assert len(passed) == (len(given) if kept else 32)
    assert proxy.line_of(passed)["path"] == "/v1/x"


def heads(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(heads("GET /v1/x HTTP/1.1", "Host: localhost", "Host: evil.example"), 400, id="two hosts"),
        pytest.param(heads("GET /v1/x HTTP/1.1", "Host: localhost", "Host: localhost"), 400, id="a host twice"),
        pytest.param(heads("GET /v1/x HTTP/1.1"), 400, id="no host"),
        pytest.param(heads("GET /v1/x HTTP/1.1", "Host: evil.example"), 421, id="another host"),
        pytest.param(heads("GET /v1/x HTTP/1.1", "Host: localhost.evil.example"), 421, id="a longer host"),
        pytest.param(heads("GET /v1/x HTTP/1.1", "Host: localhost@evil.example"), 421, id="a user as host"),
        pytest.param(heads("GET /v1/x HTTP/1.1", "Host: local/host"), 400, id="a path as host"),
        pytest.param(heads("GET https://evil.example/v1/x HTTP/1.1", "Host: localhost"), 421, id="absolute, other"),
        pytest.param(heads("GET /v1/x HTTP/1.0"), 421, id="HTTP/1.0 without host"),
        pytest.param(
            heads("POST /v1/x HTTP/1.1", "Host: localhost", "Content-Length: 3", "Transfer-Encoding: chunked"),
            400,
            id="two lengths",
        ),
        pytest.param(
            heads("POST /v1/x HTTP/1.1", "Host: localhost", "Content-Length: 3", "Content-Length: 4"),
            400,
            id="two content lengths",
        ),
        pytest.param(
            heads("POST /v1/x HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip, chunked"), 501, id="two encodings"
        ),
        pytest.param(heads("POST /v1/x HTTP/1.1", "Host: localhost", "Content-Length: -1"), 400, id="negative length"),
        pytest.param(heads("GET /v1/x\0 HTTP/1.1", "Host: localhost"), 400, id="a null byte"),
        pytest.param(heads("GET /v1/../../x HTTP/1.1", "Host: localhost"), 400, id="above the root"),
        pytest.param(heads("CONNECT evil.example:443 HTTP/1.1", "Host: localhost"), 400, id="connect"),
        pytest.param(heads("TRACE /v1/x HTTP/1.1", "Host: localhost"), 405, id="trace"),
        pytest.param(heads("GET /v1/x HTTP/1.1", "Host: localhost", f"X: {'a' * 17_000}"), 431, id="a long header"),
        pytest.param(
            heads("GET /v1/x HTTP/1.1", "Host: localhost", *(f"X{n}: {'a' * 8_000}" for n in range(20))),
            431,
            id="a large head",
        ),
        pytest.param(heads(f"GET /v1/{'a' * 17_000} HTTP/1.1", "Host: localhost"), 414, id="a long path"),
        pytest.param(b"\x16\x03\x01 nonsense\r\n\r\n", 400, id="no HTTP"),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_or_is_for_others_reaches_no_service(
    proxy: Proxy, raw: bytes, status: int
) -> None:
    assert proxy.send(raw).status == status
    assert seen_by(proxy) == []


def test_the_host_of_an_absolute_address_counts_and_the_header_beside_it_does_not(proxy: Proxy) -> None:
    raw = heads("GET https://LocalHost/v1/x?y=1 HTTP/1.1", "Host: evil.example:81")
    assert proxy.send(raw).service == "api"
    (seen,) = seen_by(proxy)
    assert seen.all("host") == ["localhost:81"]
    assert seen.path == "/v1/x?y=1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
def test_the_host_reaches_the_service_with_the_port_that_the_client_used(proxy: Proxy, host: str) -> None:
    assert proxy.ask("GET", "/", host=host).service == "dashboard"
    (seen,) = seen_by(proxy)
    assert seen.all("host") == [f"{host.lower()}:{proxy.port}"]


@pytest.mark.parametrize(
    ("path", "limit_bytes", "kind"),
    [
        ("/v1/identity/sessions", API_BODY_BYTES, "problem"),
        ("/problems", API_BODY_BYTES, "problem"),
        ("/shop/cart", API_BODY_BYTES, "page"),
        ("/v1/stores/shop/product-imports", FILE_BYTES, "problem"),
        ("/v1/collect", COLLECTOR_BODY_BYTES, "collector"),
        ("/v1/import", COLLECTOR_BODY_BYTES, "collector"),
    ],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(
    proxy: Proxy, path: str, limit_bytes: int, kind: str
) -> None:
    head = {"Host": "localhost", "Content-Length": str(limit_bytes + 1)}
    answer = proxy.send(request("POST", path, head))
    assert answer.status == 413
    if kind == "problem":
        assert problem_of(answer) == "too-large"
    elif kind == "page":
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    else:
        assert answer.json()["error"]["code"] == "body_too_large"
        assert answer.headers["access-control-allow-origin"] == "*"
    assert seen_by(proxy) == []
    assert proxy.ask("POST", path, b"x" * limit_bytes).status == 200
    assert [len(seen.body) for seen in seen_by(proxy)] == [limit_bytes]


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_large(proxy: Proxy) -> None:
    head = request("POST", "/v1/x", {"Host": "localhost", "Transfer-Encoding": "chunked"})
    piece = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    answer = proxy.send(head + piece * 3)
    assert (answer.status, problem_of(answer)) == (413, "too-large")
    assert seen_by(proxy) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_dashboard_takes_nothing_but_reading(proxy: Proxy, method: str) -> None:
    assert proxy.ask(method, "/_stcore/upload_file/x").status == 405
    assert seen_by(proxy) == []


@pytest.mark.parametrize(
    ("path", "upgrade", "passed"),
    [
        ("/_stcore/stream", "websocket", True),
        ("/_stcore/stream", "WebSocket", True),
        ("/session/watch", "websocket", True),
        ("/session/watch/more", "websocket", False),
        ("/_stcore/stream", "h2c", False),
        ("/overview", "websocket", False),
        ("/v1/x", "websocket", False),
        ("/v1/collect", "websocket", False),
    ],
)
def test_only_the_dashboards_stream_becomes_a_websocket(proxy: Proxy, path: str, upgrade: str, passed: bool) -> None:
    proxy.ask("GET", path, Upgrade=upgrade, Connection="Upgrade")
    (seen,) = seen_by(proxy)
    assert (seen.all("upgrade"), seen.all("connection")) == ((["websocket"], ["upgrade"]) if passed else ([], []))


TEXT = b'{"numbers": "' + b"0123456789" * 200 + b'"}'


@pytest.mark.parametrize(
    ("method", "path", "media_type", "compressed"),
    [
        ("GET", "/v1/stores/1/report", "application/json", True),
        ("GET", "/v1/stores/1/report.csv", "text/csv", True),
        ("GET", "/openapi.json", "application/json", True),
        ("GET", "/docs/page.js", "text/javascript", True),
        ("GET", "/m.js", "text/javascript; charset=utf-8", True),
        ("GET", "/static/app.js", "text/javascript", True),
        ("GET", "/static/look.css", "text/css", True),
        ("GET", "/", "text/html", True),
        ("GET", "/static/font.woff2", "font/woff2", False),
        ("GET", "/v1/pixel.gif", "image/gif", False),
        ("GET", "/v1/identity/me", "application/json", False),
        ("GET", "/v1/identity", "application/json", False),
        ("GET", "/v1/stores/1/products/7", "application/json", False),
        ("GET", "/v1/stores/1/products", "application/json", True),
        ("GET", "/v1/stores/1/keys", "application/json", False),
        ("GET", "/v1/stores", "application/json", True),
        ("GET", "/v1/stores/1/import-key", "application/json", False),
        ("GET", "/v1/stores/1/webhooks/7", "application/json", False),
        ("POST", "/v1/stores", "application/json", False),
        ("POST", "/v1/identity/sessions", "application/json", False),
        ("POST", "/v1/collect", "application/json", False),
        ("DELETE", "/v1/stores/1/report", "application/json", False),
    ],
)
def test_answers_are_compressed_unless_a_secret_may_be_in_them(
    proxy: Proxy, method: str, path: str, media_type: str, compressed: bool
) -> None:
    for service in proxy.services.values():
        service.reply = lambda seen: Reply(200, TEXT, {"content-type": media_type})
    answer = proxy.ask(method, path, Accept_Encoding="gzip")
    assert answer.status == 200
    assert answer.headers["content-encoding"] == ("gzip" if compressed else None)
    assert (gzip.decompress(answer.body) if compressed else answer.body) == TEXT
    assert answer.headers["vary"] == ("Accept-Encoding" if compressed else None)


EDITED = sorted(path for method, path in rules() if method == "PATCH" and ("GET", path) in rules())


@pytest.mark.parametrize("path", EDITED)
def test_what_an_edit_has_to_name_comes_through_as_it_is(proxy: Proxy, path: str) -> None:
    headers = {"content-type": "application/json", "etag": '"7"'}
    proxy.services["api"].reply = lambda seen: Reply(200, TEXT, headers)
    answer = proxy.ask("GET", path.replace("{store}", "anns-shop"), Accept_Encoding="gzip")
    assert (answer.headers["etag"], answer.body) == ('"7"', TEXT)


def test_answers_are_compressed_behind_a_network_of_caches_too(proxy: Proxy) -> None:
    proxy.services["api"].reply = lambda seen: Reply(200, TEXT)
    answer = proxy.ask("GET", "/v1/stores/1/report", Accept_Encoding="gzip", Via="1.1 cache.example")
    assert answer.headers["content-encoding"] == "gzip"


def test_cookies_of_the_dashboard_go_over_tls_only_and_not_with_requests_of_other_sites(proxy: Proxy) -> None:
    cookie = {"content-type": "text/html", "set-cookie": "_streamlit_xsrf=2|abc; Path=/"}
    proxy.services["dashboard"].reply = lambda seen: Reply(200, b"page", cookie)
    found = proxy.ask("GET", "/").headers["set-cookie"]
    assert [part.strip().lower() for part in found.split(";")] == [
        "_streamlit_xsrf=2|abc",
        "path=/",
        "secure",
        "samesite=lax",
    ]


@pytest.mark.parametrize("path", ["/livez", "/v1/x", "/m.js"])
def test_no_version_of_a_program_is_shown(proxy: Proxy, path: str) -> None:
    for service in proxy.services.values():
        service.reply = lambda seen: Reply(200, b"{}", {"content-type": "application/json", "server": "secret/1.0"})
    answer = proxy.ask("GET", path)
    assert answer.headers.get_all("server") == ["nginx"]
    assert b"nginx/" not in answer.body


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("10.255.0.1", "10.255.0.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("2001:db8:1::6", "2001:db8:1::"),
        ("2001:db8:0:2:3:4:5:6", "2001:db8::"),
        ("2001:db8::6", "2001:db8::"),
        ("2001::6", "2001::"),
        ("2001:0:0:4:5:6:7:8", "2001::"),
        ("2001:0:3:4:5:6:7:8", "2001:0:3::"),
        ("::3:4:5:6:7:8", "0:0:3::"),
        ("::8", "::"),
        ("::4:5:6:7:8", "::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
    ],
)
def test_the_log_keeps_the_network_of_an_address_as_events_do(proxy: Proxy, address: str, network: str) -> None:
    proxy.ask(
        "GET", "/v1/x", source=BALANCER, X_Forwarded_For=address, X_Request_Id="the-network-" + network_id(address)
    )
    line = proxy.line_of("the-network-" + network_id(address))
    assert line["network"] == network
    assert address not in proxy.log.read_text()


def test_the_log_keeps_the_same_network_as_events_whatever_the_address(proxy: Proxy) -> None:
    chance = random.Random(7)
    addresses = {f"{chance.getrandbits(60):016x}": any_ipv6(chance) for _ in range(150)}
    with proxy.connect(BALANCER) as connection:
        for request_id, address in addresses.items():
            head = {"Host": "localhost", "X-Forwarded-For": address, "X-Request-Id": request_id}
            connection.sendall(request("GET", "/livez", head))
            assert read_answer(connection).status == 404
    for request_id, address in addresses.items():
        assert proxy.line_of(request_id)["network"] == truncate_ip(address), address


def any_ipv6(chance: random.Random) -> str:
    """An address with many zeros, which are written in different ways."""
    return ":".join(chance.choice(["0", "0", f"{chance.randrange(1, 65_536):x}"]) for _ in range(8))


def network_id(address: str) -> str:
    return address.replace(":", "_").replace(".", "-")


def test_the_log_has_no_query_no_token_and_is_json_whatever_a_client_sends(proxy: Proxy) -> None:
    secret = "s3cr3t-and-long"
    before = len(proxy.lines())
    proxy.ask("GET", f"/v1/pixel.gif?key={secret}", Referer=f"https://shop.example/?t={secret}", X_Write_Key=secret)
    proxy.ask("GET", f"/v1/x?token={secret}", Authorization=f"Bearer {secret}", User_Agent=secret, Cookie=secret)
    proxy.send(request("GET", f"/v1/x#{secret}", {"Host": "localhost"}))
    proxy.send(request("GET", '/v1/"\\\xff\x80{}', {"Host": "localhost"}))
    proxy.send(b"\x16\x03nonsense\r\n\r\n")
    proxy.ask("GET", "/v1/" + "a" * 5_000)
    # nginx writes a line after the answer.
    assert eventually(lambda: [len(line["path"]) for line in proxy.lines()[before:]].count(200) == 1)
    text = proxy.log.read_text(errors="surrogateescape")
    assert secret not in text
    assert [line for line in text.splitlines() if not line.startswith("{")] == []
    lines = proxy.lines()[before:]
    assert [line["path"] for line in lines[:3]] == ["/v1/pixel.gif", "/v1/x", "/v1/x"]
    assert max(len(line["path"]) for line in lines) == 200, "a path is cut"
    assert lines[0] | {"seconds": 0, "upstream_seconds": "", "request_id": "", "time": "", "upstream": ""} == {
        "time": "",
        "request_id": "",
        "network": "127.0.0.0",
        "method": "GET",
        "path": "/v1/pixel.gif",
        "status": 200,
        "bytes": 2,
        "seconds": 0,
        "upstream": "",
        "upstream_status": "200",
        "upstream_seconds": "",
        "http": "HTTP/1.1",
        "tls": "TLSv1.3",
    }


def test_http_is_sent_to_https_at_the_public_name_and_never_to_the_host_of_the_request(proxy: Proxy) -> None:
    for raw in (
        heads("GET /v1/x?y=1 HTTP/1.1", "Host: evil.example"),
        heads("GET http://evil.example/v1/x?y=1 HTTP/1.1", "Host: evil.example"),
        heads("POST /v1/x?y=1 HTTP/1.1", "Host: localhost", "Content-Length: 0"),
    ):
        with socket.create_connection(("127.0.0.1", proxy.http_port), 5) as plain:
            plain.sendall(raw)
            answer = read_answer(plain)
        assert (answer.status, answer.headers["location"]) == (308, f"https://localhost:{proxy.port}/v1/x?y=1")
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as plain:
        plain.sendall(heads("GET /v1/x HTTP/1.1", "Host: evil.example"))
        answer = read_answer(plain)
    assert (answer.status, answer.headers["location"]) == (308, f"https://localhost:{proxy.port}/v1/x")
    assert seen_by(proxy) == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_of_a_current_version_with_forward_secrecy(proxy: Proxy, version: ssl.TLSVersion) -> None:
    context = proxy.tls(minimum_version=version, maximum_version=version)
    with proxy.connect(context=context) as connection:
        cipher = connection.cipher()
    assert cipher is not None
    assert cipher[0].startswith(("ECDHE-", "TLS_"))
    assert "GCM" in cipher[0] or "POLY1305" in cipher[0]


def test_a_session_can_be_resumed_by_this_process_only_and_not_by_a_ticket_for_all_times(proxy: Proxy) -> None:
    with proxy.connect(context=proxy.tls(maximum_version=ssl.TLSVersion.TLSv1_2)) as connection:
        assert connection.session is not None
        assert not connection.session.has_ticket


def test_older_versions_of_tls_and_ciphers_without_forward_secrecy_are_refused(proxy: Proxy) -> None:
    older = proxy.tls()
    older.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        older.minimum_version = older.maximum_version = ssl.TLSVersion.TLSv1_1
    weaker = proxy.tls(maximum_version=ssl.TLSVersion.TLSv1_2)
    weaker.set_ciphers("AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    for context in (older, weaker):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            proxy.connect(context=context)


def test_browsers_get_http_2(proxy: Proxy) -> None:
    context = proxy.tls()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with proxy.connect(context=context) as connection:
        assert connection.selected_alpn_protocol() == "h2"


def test_probes_ask_a_port_of_their_own(proxy: Proxy) -> None:
    statuses = {}
    for path in ("/livez", "/readyz", "/status", "/v1/x", "/"):
        with socket.create_connection(("127.0.0.1", proxy.admin_port), 5) as plain:
            plain.sendall(heads(f"GET {path} HTTP/1.1", "Host: x"))
            statuses[path] = read_answer(plain).status
    assert statuses == {"/livez": 200, "/readyz": 200, "/status": 200, "/v1/x": 404, "/": 404}
    assert seen_by(proxy) == []


def test_nothing_of_a_request_or_an_answer_is_written_to_the_disk(proxy: Proxy) -> None:
    proxy.services["dashboard"].reply = lambda seen: Reply(200, b"x" * (8 << 20), {"content-type": "font/woff2"})
    with proxy.connect() as slow:
        slow.sendall(heads("GET /static/large HTTP/1.1", "Host: localhost"))
        assert proxy.ask("POST", "/v1/collect", b"y" * (1 << 20)).status == 200
        folder: Path = proxy.folder / "tmp"
        assert [path for path in folder.rglob("*") if path.is_file()] == []
        assert len(read_answer(slow).body) == 8 << 20
