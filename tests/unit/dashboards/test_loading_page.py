from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers as StarletteHeaders
from starlette.types import Message, Receive, Scope, Send

from dashboards.__main__ import listen
from dashboards.ui.header import as_code, plain
from dashboards.web import loading_page
from dashboards.web.gate import GUARDS, Gate, is_ours
from dashboards.web.loading_page import LoadingPage, build, closure, loading_page_html

STREAMLITS = (b"text/html", b"<html>Streamlit's own</html>")


Headers = list[tuple[bytes, bytes]]


def ask(
    path: str, method: str = "GET", answer: tuple[bytes, bytes] = STREAMLITS, status: int = 200,
    headers: Headers | None = None, passed: Headers | None = None, page: Callable[[], bytes | None] | None = None,
) -> list[Message]:  # fmt: skip
    """What a browser gets when the server behind the front page answers like this."""
    sent: list[Message] = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        if passed is not None:
            passed.extend(scope["headers"])
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", answer[0])]})
        await send({"type": "http.response.body", "body": answer[1], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    here = [(b"host", b"127.0.0.1:8501")]
    asked = {"type": "http", "method": method, "path": path, "headers": [*here, *(headers or [])]}
    asyncio.run(Gate(LoadingPage(behind, page))(asked, receive, send))
    return sent


@pytest.mark.parametrize("path", ["/", "/sources", "/what/ever"])
def test_every_page_begins_with_something_to_look_at(path: str) -> None:
    start, body = ask(path)
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
    text = body["body"].decode()
    assert text.index('id="waiting"') < text.index('<div id="root"></div>')
    assert "<title>Marketplace analytics</title>" in text


def test_the_front_page_names_what_charts_and_tiles_are_drawn_with_and_only_what_there_is() -> None:
    page = (loading_page_html() or b"").decode()
    folder = loading_page._folder() / "static" / "js"
    linked = re.findall(r'href="\./static/js/([^"]+)"', page)
    assert len(linked) == len(set(linked))
    assert all((folder / name).is_file() for name in linked)
    for part in (*loading_page._AT_ONCE, *loading_page._LATER):
        assert any(name.startswith(f"{part}.") for name in linked), part


@pytest.mark.parametrize(
    ("path", "method", "answer", "status"),
    [
        ("/", "HEAD", STREAMLITS, 200),
        ("/live/_stcore/health", "GET", STREAMLITS, 404),
        ("/_stcore/health", "GET", (b"text/plain", b"ok"), 200),
        ("/media/report.html", "GET", STREAMLITS, 200),
    ],
)
def test_all_else_is_left_to_streamlit(path: str, method: str, answer: tuple[bytes, bytes], status: int) -> None:
    start, body, end = ask(path, method, answer, status)
    assert (start["status"], start["headers"]) == (status, [(b"content-type", answer[0]), *GUARDS])
    assert body["body"] + end["body"] == answer[1]


def test_a_browser_that_still_holds_streamlits_page_gets_this_one() -> None:
    passed: Headers = []
    held = [(b"if-none-match", b'"1"'), (b"range", b"bytes=0-5"), (b"accept-encoding", b"gzip"), (b"cookie", b"a=b")]
    ask("/", headers=held, passed=passed)
    assert passed == [(b"host", b"127.0.0.1:8501"), (b"cookie", b"a=b")]


def test_an_error_that_comes_before_the_first_number_is_not_covered() -> None:
    page = (loading_page_html() or b"").decode()
    (hidden_by,) = re.findall(r"body:has\((.*?)\) #waiting", page)
    assert {'[data-testid="stMetric"]', '[data-testid="stException"]'} <= set(hidden_by.split(", "))


def test_streamlits_files_come_from_memory_and_stay_in_the_browser() -> None:
    path = next((loading_page._folder() / "static" / "js").glob("Metric.*.js"))
    start, body = ask(f"/static/js/{path.name}")
    assert body["body"] == path.read_bytes()
    headers = dict(start["headers"])
    assert headers[b"cache-control"] == b"public, immutable, max-age=31536000"
    assert b"javascript" in headers[b"content-type"]


@pytest.mark.parametrize("path", ["/static/js/none.js", "/static/../../../../etc/passwd", "/static/"])
def test_files_that_streamlit_does_not_have_are_not_there(path: str) -> None:
    start, body = ask(path)
    assert (start["status"], body["body"]) == (404, b"there is no such file\n")


HERE = {"host": "127.0.0.1:8501"}


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        (HERE, True),
        ({"host": "localhost:8501", "origin": "http://localhost:8501"}, True),
        ({"host": "[::1]:8501", "origin": "http://[::1]:8501"}, True),
        ({"host": "shop.localhost"}, True),
        ({**HERE, "origin": "http://evil.example"}, False),
        ({**HERE, "origin": "http://127.0.0.1:9999"}, False),
        ({**HERE, "origin": "null"}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
        ({"host": "evil.example:8501"}, False),
        ({"host": "stats.example"}, True),
        ({**HERE, "origin": "https://stats.example"}, True),
        ({"host": "not.stats.example"}, False),
        ({"host": "[broken"}, False),
        ({}, False),
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str], ours: bool) -> None:
    assert is_ours(StarletteHeaders(headers), {"stats.example"}) is ours


def test_a_connection_of_another_site_is_closed_before_streamlit_hears_of_it() -> None:
    def connect(origin: str) -> tuple[list[Message], list[Scope]]:
        sent: list[Message] = []
        heard: list[Scope] = []

        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            heard.append(scope)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1:8501"), (b"origin", origin.encode())]
        asked = {"type": "websocket", "path": "/_stcore/stream", "headers": headers}
        asyncio.run(Gate(LoadingPage(behind), {"stats.example"})(asked, receive, send))
        return sent, heard

    assert connect("http://evil.example") == ([{"type": "websocket.close", "code": 1008}], [])
    sent, heard = connect("https://stats.example")
    assert sent == []
    assert dict(heard[0]["headers"])[b"origin"] == b"http://127.0.0.1:8501"


def test_a_page_that_is_not_as_expected_is_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html><head></head><body><main></main></body></html>")
    assert build(tmp_path) is None
    assert b"".join(message["body"] for message in ask("/", page=lambda: None)[1:]) == STREAMLITS[1]


def test_parts_bring_what_they_import_once(tmp_path: Path) -> None:
    begins = 'import{a}from"./base.b2.js";import"./gone.js";'
    (tmp_path / "Chart.a1.js").write_text(begins + 'const x=import("./late.c3.js")')
    (tmp_path / "base.b2.js").write_text('import{c as d}from"./Chart.a1.js"')
    (tmp_path / "late.c3.js").write_text("")
    (tmp_path / "Chartist.d4.js").write_text("")
    assert closure(tmp_path, ["Chart", "Tile"]) == ["Chart.a1.js", "base.b2.js"]


def test_connections_send_small_messages_at_once() -> None:
    with listen("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize(
    "path", ["/", "/sources", "/_stcore/health", "/_stcore/host-config", "/static/no.js", "/media/a"]
)
@pytest.mark.parametrize("host", [b"127.0.0.1:8501", b"evil.example"])
def test_no_answer_can_be_shown_in_a_frame(path: str, host: bytes) -> None:
    start, *_ = ask(path, answer=(b"application/json", b"{}"), headers=[(b"host", host)])
    assert {(b"x-frame-options", b"DENY"), (b"content-security-policy", b"frame-ancestors 'none'")} <= {
        *start["headers"]
    }


def test_no_other_site_may_steer_the_page() -> None:
    theirs = b'{"allowedOrigins": ["https://*.elsewhere.example"], "disableFullscreenMode": false}'
    start, body = ask("/_stcore/host-config", answer=(b"application/json", theirs))
    assert json.loads(body["body"]) == {"allowedOrigins": [], "disableFullscreenMode": False}
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]


@given(st.text(max_size=60))
def test_code_made_of_any_text_is_one_piece_of_code(text: str) -> None:
    code = as_code(text)
    assert code[0] == code[-1] == "`"
    assert "`" not in code[1:-1]
    assert code.isprintable()
    assert code[1:-1].split() == "".join(c if c.isprintable() else " " for c in text).replace("`", "").split()


@given(st.text(max_size=60))
def test_plain_text_has_no_sign_of_markdown_left_alone(text: str) -> None:
    escaped = plain(text)
    assert escaped.isprintable()
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_{}\[\]()#+!|~:$<>&]", escaped)
