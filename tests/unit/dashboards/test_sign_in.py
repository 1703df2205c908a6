"""The pages of signing in and out, over HTTP without a network: cookies, forms, where a person is sent."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from dashboards.data.access import Viewer
from dashboards.data.query_cache import QueryCache
from dashboards.data.viewers import LOCAL_HEADER, SESSION_HEADER, Viewers
from dashboards.web.gate import Gate
from dashboards.web.identity_api import IdentityApi
from dashboards.web.mail_forms import MAIL_FORMS
from dashboards.web.sign_in import SignIn, is_local
from dashboards.web.targets import safe_target
from tests.kits.viewers import Known, viewer_of

TOKEN = "0f.1e.secret"
FORM = {"email": "ann@shop.example", "password": "correct horse battery"}
TYPE = "application/x-www-form-urlencoded"
OWN = {"origin": "http://127.0.0.1:8501", "sec-fetch-site": "same-origin"}
PROXIED = {"host": "shop.example", "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}


class Dashboard:
    """The gate and the guard, with known viewers and an API that answers what a test says."""

    def __init__(self, viewers: Mapping[str, Viewer] | None = None, *, accounts: bool = True) -> None:
        self.known = Known(dict(viewers or {}), accounts)
        self.asked: list[httpx.Request] = []
        self.answer: httpx.Response | Exception = httpx.Response(201, json={"refresh_token": TOKEN})
        self.passed: list[Scope] = []
        api = IdentityApi("http://api.example", httpx.MockTransport(self._api))
        viewers_now = Viewers(self.known, QueryCache())
        self.app = Gate(SignIn(self._behind, viewers_now, api, ["shop.example"]), ["shop.example"])

    def _api(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def _behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.passed.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"numbers"})

    def ask(self, method: str, path: str, headers: Mapping[str, Any] | None = None, **options: Any) -> httpx.Response:
        async def whole() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 5000))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8501") as client:
                raw = [
                    (name.encode(), each if isinstance(each, bytes) else each.encode())
                    for name, each in (headers or {}).items()
                ]
                return await client.request(method, path, headers=raw, **options)

        return asyncio.run(whole())

    def post(
        self, path: str, data: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.ask("POST", path, {**OWN, "content-type": TYPE, **(headers or {})}, content=urlencode(data or {}))

    def socket(self, path: str, headers: Mapping[str, str], *, until: int = 2) -> list[Message]:
        """What a page's connection gets until it ends, or until so many messages."""
        sent: list[Message] = []
        enough = asyncio.Event()

        async def whole() -> None:
            first = True

            async def receive() -> Message:
                nonlocal first
                if first:
                    first = False
                    return {"type": "websocket.connect"}
                await enough.wait()
                return {"type": "websocket.disconnect", "code": 1000}

            async def send(message: Message) -> None:
                sent.append(message)
                if len(sent) >= until:
                    enough.set()

            pairs = [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1:8501", **headers}.items()]
            scope = {"type": "websocket", "path": path, "scheme": "ws", "headers": pairs, "client": ("127.0.0.1", 1)}
            async with asyncio.timeout(20):
                await self.app(scope, receive, send)

        asyncio.run(whole())
        return sent


def cookie_of(response: httpx.Response) -> tuple[str, str, dict[str, str]]:
    """Name, value and attributes of the one cookie that a response sets."""
    (line,) = response.headers.get_list("set-cookie")
    pair, *attributes = [part.strip() for part in line.split(";")]
    name, _, value = pair.partition("=")
    return name, value, {key: text for key, _, text in (each.partition("=") for each in attributes)}


def signed_in(*slugs: str) -> Dashboard:
    return Dashboard({TOKEN: viewer_of(*slugs or ("tea",))})


COOKIE = {"cookie": f"marketplace-session={TOKEN}"}


@pytest.fixture
def dashboard() -> Dashboard:
    return Dashboard()


def test_a_page_without_a_sign_in_leads_to_it_and_the_way_back_is_the_whole_address(dashboard: Dashboard) -> None:
    response = dashboard.ask("GET", "/sources?store=tea&campaign=a%26b")

    assert response.status_code == 303
    assert dashboard.passed == []
    location = httpx.URL(response.headers["location"])
    assert (location.path, location.params["next"]) == ("/sign-in", "/sources?store=tea&campaign=a%26b")


def test_signing_in_sets_a_cookie_that_no_script_reads_and_leads_back(dashboard: Dashboard) -> None:
    response = dashboard.post("/sign-in", {**FORM, "next": "/sources?store=tea"})

    assert (response.status_code, response.headers["location"]) == (303, "/sources?store=tea")
    name, value, attributes = cookie_of(response)
    assert (name, value) == ("marketplace-session", TOKEN)
    assert attributes == {"Path": "/", "Max-Age": "2592000", "HttpOnly": "", "SameSite": "Lax"}
    assert TOKEN not in response.text


def test_behind_tls_the_cookie_is_secure_and_bound_to_its_host(dashboard: Dashboard) -> None:
    headers = {**PROXIED, "origin": "https://shop.example", "sec-fetch-site": "same-origin"}
    name, _, attributes = cookie_of(dashboard.ask("POST", "/sign-in", headers, data=FORM))

    assert name == "__Host-marketplace-session"
    assert attributes == {"Path": "/", "Max-Age": "2592000", "HttpOnly": "", "SameSite": "Lax", "Secure": ""}


@pytest.mark.parametrize("secure", [False, True])
def test_the_cookie_is_deleted_by_the_attributes_by_which_it_was_set(secure: bool) -> None:
    dashboard = signed_in()
    headers = {**PROXIED, "origin": "https://shop.example"} if secure else {}
    name, _, was = cookie_of(dashboard.post("/sign-in", FORM, headers))
    cookie = {"cookie": f"{name}={TOKEN}"}

    deleted_name, value, now = cookie_of(dashboard.post("/sign-out", headers={**headers, **cookie}))

    assert (deleted_name, value, now.pop("Max-Age")) == (name, "", "0")
    was.pop("Max-Age")
    assert now == was


def test_after_signing_out_the_cookie_that_somebody_kept_is_worth_nothing() -> None:
    dashboard = signed_in()
    assert dashboard.ask("GET", "/", COOKIE).status_code == 200

    assert dashboard.post("/sign-out", headers=COOKIE).headers["location"] == "/sign-in?out=yes"

    later = Dashboard(dashboard.known.viewers)
    assert later.ask("GET", "/", COOKIE).status_code == 303
    assert "You are signed out" in later.ask("GET", "/sign-in?out=yes").text


def test_a_sign_out_that_redis_does_not_answer_says_so_and_keeps_the_cookie_for_another_try() -> None:
    dashboard = signed_in()
    dashboard.known.unavailable = True

    response = dashboard.post("/sign-out", headers=COOKIE)

    assert response.status_code == 503
    assert "set-cookie" not in response.headers
    assert "You are still signed in" in response.text


def test_signing_in_ends_the_sign_in_that_the_browser_had_before() -> None:
    dashboard = Dashboard({"old.old.old": viewer_of("tea")})

    response = dashboard.post("/sign-in", FORM, {"cookie": "marketplace-session=old.old.old"})

    assert response.status_code == 303
    assert dashboard.known.viewers == {}


def test_a_wrong_password_is_said_in_place_and_the_address_stays_in_the_form(dashboard: Dashboard) -> None:
    dashboard.answer = httpx.Response(401, json={"type": "/problems/unauthenticated", "status": 401})

    response = dashboard.post("/sign-in", {**FORM, "next": "/live"})

    assert response.status_code == 422
    assert "set-cookie" not in response.headers
    assert 'role="alert">The address and the password do not go together.' in response.text
    assert 'value="ann@shop.example"' in response.text
    assert 'name="next" value="/live"' in response.text
    assert 'href="/forgot"' in response.text
    assert FORM["password"] not in response.text


def test_what_the_api_says_of_a_field_stands_below_the_field(dashboard: Dashboard) -> None:
    errors = [{"path": "/email", "code": "email", "message": "this is no address <b>"}]
    dashboard.answer = httpx.Response(422, json={"errors": errors})

    text = dashboard.post("/sign-in", FORM).text

    assert 'id="email-problem">This is no address &lt;b&gt;.' in text
    assert 'aria-invalid="true" aria-describedby="email-problem"' in text


def test_too_many_attempts_say_when_to_try_again(dashboard: Dashboard) -> None:
    dashboard.answer = httpx.Response(429, json={}, headers={"retry-after": "42"})

    response = dashboard.post("/sign-in", FORM)

    assert (response.status_code, response.headers["retry-after"]) == (429, "42")
    assert "Try again in 42 seconds" in response.text


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(503, json={}),
        httpx.Response(502, text="<html>"),
        httpx.Response(201, json=[]),
    ],
)
def test_an_api_that_does_not_answer_is_reported_and_the_page_tries_again(
    dashboard: Dashboard, answer: httpx.Response | Exception
) -> None:
    dashboard.answer = answer

    response = dashboard.post("/sign-in", {**FORM, "next": "/live"})

    assert response.status_code == 503
    assert "does not answer" in response.text
    assert re.search(r'http-equiv="refresh" content="5;url=/sign-in\?next=/live"', response.text)
    assert "set-cookie" not in response.headers


def test_who_is_signed_in_sees_the_numbers_while_the_api_is_unavailable() -> None:
    dashboard = signed_in()
    dashboard.answer = httpx.ConnectError("refused")

    assert dashboard.ask("GET", "/live", COOKIE).text == "numbers"
    assert dashboard.ask("GET", "/sign-in").status_code == 503


def test_the_api_gets_the_password_the_browser_and_its_address_and_nothing_more(dashboard: Dashboard) -> None:
    headers = {**OWN, "user-agent": b"Firefox/145\xe9", "x-forwarded-for": "203.0.113.9"}
    dashboard.ask("POST", "/sign-in", headers, data={**FORM, "next": "/live", "admin": "yes"})

    (request,) = dashboard.asked
    assert (request.method, request.url.path) == ("POST", "/v1/identity/sessions")
    assert json.loads(request.content) == FORM
    assert request.headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert request.headers["user-agent"] == "Firefox/145"
    assert "cookie" not in request.headers


UNSAFE = ["/sign-in", "/sign-out", *MAIL_FORMS]


@pytest.mark.parametrize("path", UNSAFE)
@pytest.mark.parametrize(
    "sender",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8502"},
        {"origin": "http://other.127.0.0.1:8501"},
        {"origin": "https://127.0.0.1:8501"},
        {"origin": "http://127.0.0.1:8501", "sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:8501", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://["},
        {},
    ],
)
def test_a_form_that_another_page_sends_changes_nothing(path: str, sender: Mapping[str, str]) -> None:
    dashboard = signed_in()

    response = dashboard.ask("POST", path, {**sender, **COOKIE}, data=FORM)

    assert response.status_code == 403
    assert "set-cookie" not in response.headers
    assert dashboard.asked == []
    assert TOKEN in dashboard.known.viewers


@pytest.mark.parametrize("path", UNSAFE)
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", None])
def test_only_a_form_is_read(path: str, kind: str | None) -> None:
    dashboard = signed_in()
    headers = {**OWN, **COOKIE, **({"content-type": kind} if kind else {})}

    response = dashboard.ask("POST", path, headers, content=b"email=a&password=b")

    assert response.status_code == 415
    assert dashboard.asked == []
    assert TOKEN in dashboard.known.viewers


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"email=a&email=b", 400), (b"&".join([b"a=b"] * 11), 400), (b"email=\xff", 400), (b"a" * 9_000, 413)],
)
def test_a_form_that_cannot_be_meant_is_refused(dashboard: Dashboard, body: bytes, status: int) -> None:
    headers = {**OWN, "content-type": "application/x-www-form-urlencoded"}

    assert dashboard.ask("POST", "/sign-in", headers, content=body).status_code == status
    assert dashboard.asked == []


@pytest.mark.parametrize("path", UNSAFE)
def test_looking_at_a_page_changes_nothing(path: str) -> None:
    dashboard = signed_in()

    dashboard.ask("GET", path, COOKIE)

    assert [request.method for request in dashboard.asked if request.method != "GET"] == []
    assert TOKEN in dashboard.known.viewers
    assert dashboard.ask("DELETE", path, COOKIE).status_code == 405


@pytest.mark.parametrize("path", sorted(MAIL_FORMS))
def test_a_form_about_an_account_sends_its_fields_to_the_api_and_no_others(dashboard: Dashboard, path: str) -> None:
    dashboard.answer = httpx.Response(202, json={})
    fields = {field.name: f"some {field.name}" for field in MAIL_FORMS[path].page.fields}

    response = dashboard.post(path, {**fields, "admin": "yes"})

    assert response.status_code == 200
    assert MAIL_FORMS[path].done.title in response.text
    assert json.loads(dashboard.asked[0].content) == fields
    assert dashboard.asked[0].url.path == f"/v1/identity/{MAIL_FORMS[path].route}"


def test_a_link_that_is_used_is_reported_in_place(dashboard: Dashboard) -> None:
    dashboard.answer = httpx.Response(410, json={"status": 410})

    response = dashboard.post("/reset", {"token": "x" * 40, "password": "correct horse battery"})

    assert response.status_code == 422
    assert "This link is used, expired or incomplete" in response.text
    assert "correct horse battery" not in response.text


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", *MAIL_FORMS])
def test_a_plain_page_is_kept_nowhere_and_runs_nothing_of_elsewhere(path: str) -> None:
    response = signed_in().ask("GET", path, COOKIE if path == "/sign-out" else {})

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    policies = ";".join(response.headers.get_list("content-security-policy"))
    assert "default-src 'none'" in policies
    assert "unsafe" not in policies
    assert 'name="viewport"' in response.text


@pytest.mark.parametrize(
    "path", ["/", "/live", "/media/a.csv", "/_stcore/upload_file/x", "/component/x.js", "/what", "/_stcore/bidi/x"]
)
def test_nothing_but_the_server_s_own_files_is_given_to_who_is_not_signed_in(dashboard: Dashboard, path: str) -> None:
    assert dashboard.ask("GET", path).status_code in (303, 401)
    assert dashboard.ask("GET", path, {"cookie": "marketplace-session=a.b.guess"}).status_code in (303, 401)
    assert dashboard.passed == []


@pytest.mark.parametrize("path", ["/static/js/index.js", "/app/static/icon.svg", "/_stcore/health"])
def test_files_of_the_server_and_its_health_need_no_sign_in(dashboard: Dashboard, path: str) -> None:
    assert dashboard.ask("GET", path).text == "numbers"


def test_where_no_account_exists_this_machine_is_let_in_and_others_learn_why_they_are_not() -> None:
    dashboard = Dashboard(accounts=False)

    assert dashboard.ask("GET", "/live").text == "numbers"
    assert "No account exists yet" in dashboard.ask("GET", "/sign-in").text
    elsewhere = dashboard.ask("GET", "/live", PROXIED)
    assert elsewhere.status_code == 403
    assert "on its own machine alone" in elsewhere.text


def test_an_unavailable_part_does_not_sign_anybody_out() -> None:
    dashboard = signed_in()
    dashboard.known.unavailable = True

    page = dashboard.ask("GET", "/live", COOKIE)
    download = dashboard.ask("GET", "/media/a.csv", COOKIE)

    # The page has nothing of a store in it: its script says what is unavailable.
    assert page.text == "numbers"
    assert (download.status_code, download.headers["retry-after"]) == (503, "2")
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    "cookie",
    [
        f"marketplace-session={TOKEN}; marketplace-session=other.a.b",
        f"__Host-marketplace-session={TOKEN}",
        f"Marketplace-Session={TOKEN}",
        f'marketplace-session="{TOKEN}"',
    ],
)
def test_a_cookie_that_is_not_the_one_that_was_set_is_none(cookie: str) -> None:
    assert signed_in().ask("GET", "/", {"cookie": cookie}).status_code == 303


def test_behind_tls_a_cookie_that_plain_http_has_set_is_none() -> None:
    assert signed_in().ask("GET", "/", {**PROXIED, **COOKIE}).status_code == 303
    secure = {"cookie": f"__Host-marketplace-session={TOKEN}"}
    assert signed_in().ask("GET", "/", {**PROXIED, **secure}).text == "numbers"


def test_the_page_s_script_learns_who_has_opened_it_from_the_guard_and_never_from_the_browser() -> None:
    dashboard = signed_in()
    forged = {SESSION_HEADER: "forged", LOCAL_HEADER: "yes", **COOKIE, "x-forwarded-for": "203.0.113.9"}

    dashboard.socket("/_stcore/stream", forged, until=1)

    headers = [pair for pair in dashboard.passed[0]["headers"] if pair[0].startswith(b"x-dashboard")]
    assert sorted(headers) == [(b"x-dashboard-local", b"no"), (b"x-dashboard-session", TOKEN.encode())]


def said(messages: list[Message]) -> list[Any]:
    return [json.loads(message["text"]) for message in messages if message["type"] == "websocket.send"]


def test_an_open_page_hears_at_once_that_its_sign_in_has_ended(dashboard: Dashboard) -> None:
    messages = dashboard.socket("/session/watch", COOKIE)

    assert said(messages) == [{"ended": True}]
    assert messages[-1]["type"] == "websocket.close"


def test_an_open_page_hears_which_store_was_taken_from_its_viewer() -> None:
    dashboard = signed_in("tea", "pots")
    real = dashboard.known.member

    def member(token: str) -> Viewer | None:
        found = real(token)
        dashboard.known.viewers[TOKEN] = viewer_of("tea")
        return found

    dashboard.known.member = member  # type: ignore[method-assign]
    assert said(dashboard.socket("/session/watch", COOKIE)) == [{"lost": ["pots"]}]


NO_PAGES = (
    "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "", "live", "/a\r\nb", "/a b",
    "/\t/evil.example", "/sign-out", "/sign-in?next=/x", "/_stcore/stream", "/" + "a" * 5_000,
)  # fmt: skip


@pytest.mark.parametrize("target", NO_PAGES)
def test_an_address_that_is_no_page_of_ours_leads_to_the_first_page(target: str) -> None:
    assert safe_target(target) == "/"


@given(st.text())
def test_whatever_is_asked_for_the_way_back_stays_on_this_host(text: str) -> None:
    target = safe_target(text)
    assert httpx.URL("http://127.0.0.1:8501").join(target).netloc == b"127.0.0.1:8501"
    assert not re.search(r"[\x00-\x20\\\x7f]", target)


def scope_from(client: str, **headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "headers": pairs, "client": (client, 1)}


@pytest.mark.parametrize(
    ("scope", "local"),
    [
        (scope_from("127.0.0.1", host="127.0.0.1:8501"), True),
        (scope_from("::1", host="[::1]:8501"), True),
        (scope_from("::ffff:127.0.0.1", host="localhost:8501"), True),
        (scope_from("127.0.0.1", host="localhost:8443", x_forwarded_for="127.0.0.1"), True),
        (scope_from("192.0.2.7", host="127.0.0.1:8501"), False),
        (scope_from("127.0.0.1", host="shop.example"), False),
        (scope_from("127.0.0.1", host="localhost", x_forwarded_for="203.0.113.9"), False),
        (scope_from("127.0.0.1", host="localhost", x_forwarded_for="203.0.113.9, 127.0.0.1"), False),
        (scope_from("127.0.0.1", host="localhost", x_forwarded_for="127.0.0.1, 203.0.113.9"), False),
        (scope_from("127.0.0.1", host="localhost", x_real_ip="203.0.113.9"), False),
        (scope_from("127.0.0.1", host="localhost", forwarded="for=127.0.0.1"), False),
        (scope_from("127.0.0.1", host="localhost.evil.example"), False),
        (scope_from("127.0.0.1"), False),
        (scope_from("", host="localhost"), False),
    ],
)
def test_this_machine_is_known_from_others_also_behind_a_proxy(scope: Scope, local: bool) -> None:
    assert is_local(scope) is local
