"""The pages of signing in and out, over HTTP without a network: cookies, forms, where a person is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Scope

from dashboards.data.access import Viewer
from dashboards.data.viewers import FORWARDED_HEADER, LOCAL_HEADER, SESSION_HEADER
from dashboards.web.mail_forms import MAIL_FORMS
from dashboards.web.sign_in import is_local
from dashboards.web.targets import safe_target
from marketplace.identity.passwords import MIN_CHARS
from tests.kits.dashboard_app import COOKIE, FORM, OWN, PROXIED, TOKEN, Dashboard, cookie_of, signed_in
from tests.kits.viewers import viewer_of


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


@pytest.mark.parametrize(
    ("seconds", "kept", "text"),
    [
        ("1", "1", "a second"), ("42", "42", "42 seconds"), ("120", "120", "120 seconds"), ("121", "121", "3 minutes"),
        ("600", "600", "10 minutes"), ("soon", "60", "60 seconds"),
    ],
)  # fmt: skip
def test_too_many_attempts_say_when_to_try_again(dashboard: Dashboard, seconds: str, kept: str, text: str) -> None:
    dashboard.answer = httpx.Response(429, json={}, headers={"retry-after": seconds})

    response = dashboard.post("/sign-in", FORM)

    assert (response.status_code, response.headers["retry-after"]) == (429, kept)
    assert f"Try again in {text}." in response.text


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


UNSAFE = ["/sign-in", "/sign-out", "/invitation", *MAIL_FORMS]


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


@pytest.mark.parametrize("path", [path for path, form in MAIL_FORMS.items() if form.page.from_link])
def test_the_whole_link_of_a_mail_does_as_well_as_its_secret(dashboard: Dashboard, path: str) -> None:
    dashboard.answer = httpx.Response(202, json={})

    dashboard.post(path, {"token": f" https://shop.example{path}#{'x' * 43} ", "password": "correct # horse"})

    sent = json.loads(dashboard.asked[0].content)
    assert (sent["token"], sent.get("password", "correct # horse")) == ("x" * 43, "correct # horse")


def test_a_new_password_says_how_long_it_must_be_before_it_is_chosen(dashboard: Dashboard) -> None:
    for path in ("/register", "/reset"):
        text = dashboard.ask("GET", path).text
        assert f'id="password-help">At least {MIN_CHARS} characters.' in text
        assert 'autocomplete="new-password" value="" aria-describedby="password-help"' in text
    assert "password-help" not in dashboard.ask("GET", "/sign-in").text


def test_a_link_that_is_used_is_reported_in_place(dashboard: Dashboard) -> None:
    dashboard.answer = httpx.Response(410, json={"status": 410})

    response = dashboard.post("/reset", {"token": "x" * 40, "password": "correct horse battery"})

    assert response.status_code == 422
    assert "This link is used, expired or incomplete" in response.text
    assert 'class="button" href="/forgot">Ask for another link' in response.text
    assert "<form" not in response.text
    assert "correct horse battery" not in response.text


def test_a_link_that_is_not_whole_is_reported_below_its_field_and_can_be_put_in_once_more(dashboard: Dashboard) -> None:
    errors = [{"path": "/token", "code": "string_too_short", "message": "at least 16 characters"}]
    dashboard.answer = httpx.Response(422, json={"errors": errors})

    text = dashboard.post("/confirm", {"token": "x"}).text

    assert 'id="token-problem">This is not the whole link.' in text
    assert 'action="/confirm"' in text


@pytest.mark.parametrize("path", UNSAFE)
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
    own = {SESSION_HEADER: "forged", LOCAL_HEADER: "yes", FORWARDED_HEADER: "198.51.100.1"}
    forged = {**own, **COOKIE, "x-forwarded-for": "203.0.113.9"}

    dashboard.socket("/_stcore/stream", forged, until=1)

    headers = [pair for pair in dashboard.passed[0]["headers"] if pair[0].startswith(b"x-dashboard")]
    assert sorted(headers) == [
        (b"x-dashboard-forwarded", b"203.0.113.9, 127.0.0.1"),
        (b"x-dashboard-local", b"no"),
        (b"x-dashboard-session", TOKEN.encode()),
    ]


CLOSED = [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    "headers", [{}, {"cookie": "marketplace-session=a.b.c"}, {SESSION_HEADER: TOKEN}], ids=["nobody", "ended", "forged"]
)
def test_the_page_s_script_runs_for_nobody_who_is_not_signed_in(headers: dict[str, str]) -> None:
    dashboard = signed_in()

    assert dashboard.socket("/_stcore/stream", headers, until=1) == CLOSED
    assert dashboard.passed == []


def test_before_the_first_account_the_page_s_script_runs_for_this_machine_alone() -> None:
    dashboard = Dashboard(accounts=False)

    assert dashboard.socket("/_stcore/stream", {"x-forwarded-for": "203.0.113.9"}, until=1) == CLOSED
    assert dashboard.passed == []
    dashboard.socket("/_stcore/stream", {}, until=1)
    assert len(dashboard.passed) == 1


def test_while_nobody_can_say_who_is_signed_in_the_page_s_script_runs_and_says_so() -> None:
    dashboard = signed_in()
    dashboard.known.unavailable = True

    dashboard.socket("/_stcore/stream", COOKIE, until=1)

    assert len(dashboard.passed) == 1


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

    dashboard.known.member = member  # type: ignore[method-assign]  # what it answers is the test
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
