"""The page of an invitation, over HTTP without a network: what it shows to whom, and what its form does."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from dashboards.data.query_cache import QueryCache
from dashboards.data.viewers import Viewers
from marketplace.identity.roles import StoreRole
from marketplace.identity.tenancy import (
    AlreadyMember,
    InviterGone,
    LimitReached,
    LinkEnd,
    LinkGone,
    Membership,
    WrongAddress,
)
from tests.kits.dashboard_app import COOKIE, FORM, PROXIED, TOKEN, Dashboard, cookie_of
from tests.kits.viewers import Known, viewer_of

SECRET = "q3Zk8n0S5v1J2r7XwT4yLmPbHdFcGaUe6iOoKsVt9xA"
FOLLOWED = {"cookie": f"marketplace-invitation={SECRET}"}
BOTH = {"cookie": f"{COOKIE['cookie']}; {FOLLOWED['cookie']}"}
PREVIEWS = "/v1/invitations/previews"
OFFER = {
    "id": "1", "store": "pots", "title": "Pots & <b>Pans</b>", "role": "manager", "email": "Ann@shop.example",
    "inviter_email": "olive@shop.example", "expires_at": "2026-12-06T12:00:00.000Z",
}  # fmt: skip
GONE = {"status": 410, "errors": [{"path": "/token", "code": "accepted", "message": "it was"}]}


def invited(email: str = "", *stores: str) -> Dashboard:
    """A dashboard whose API knows one invitation; somebody is signed in if there is an address."""
    dashboard = Dashboard({TOKEN: viewer_of(*stores, email=email)} if email else {})
    dashboard.answers[PREVIEWS] = httpx.Response(200, json=OFFER)
    return dashboard


def form_of(response: httpx.Response) -> dict[str, str]:
    """The hidden field of the button that accepts."""
    mark = response.text.partition('name="invitation" value="')[2].partition('"')[0]
    assert mark
    return {"invitation": mark}


def accept(dashboard: Dashboard) -> httpx.Response:
    """Look at the page and use its button."""
    return dashboard.post("/invitation", form_of(dashboard.ask("GET", "/invitation", BOTH)), BOTH)


@pytest.mark.parametrize("given", [SECRET, f" https://shop.example/invitation#{SECRET}\n"])
def test_a_link_that_is_followed_is_kept_in_a_cookie_that_no_script_reads_and_in_no_address(given: str) -> None:
    response = invited().post("/invitation", {"token": given})

    assert (response.status_code, response.headers["location"]) == (303, "/invitation")
    name, value, attributes = cookie_of(response)
    assert (name, value) == ("marketplace-invitation", SECRET)
    assert attributes == {"Path": "/", "Max-Age": "86400", "HttpOnly": "", "SameSite": "Lax"}


def test_behind_tls_the_cookie_of_an_invitation_is_secure_and_bound_to_its_host() -> None:
    headers = {**PROXIED, "origin": "https://shop.example", "sec-fetch-site": "same-origin"}

    name, _, attributes = cookie_of(invited().post("/invitation", {"token": SECRET}, headers))

    assert (name, "Secure" in attributes) == ("__Host-marketplace-invitation", True)


@pytest.mark.parametrize("given", ["", "short", "a b" * 10, f"{SECRET};x", "x" * 257, f"{SECRET}\r\nset-cookie: a=b"])
def test_what_is_no_link_is_reported_below_the_field(given: str) -> None:
    response = invited().post("/invitation", {"token": given})

    assert response.status_code == 422
    assert 'id="token-problem">This is not the link of an invitation.' in response.text
    assert "set-cookie" not in response.headers


def test_without_the_secret_the_page_asks_and_shows_nothing() -> None:
    for headers in ({}, COOKIE, {"cookie": "marketplace-invitation=short"}):
        dashboard = invited("ann@shop.example")
        response = dashboard.ask("GET", "/invitation", headers)
        assert response.status_code == 200
        assert "Open an invitation" in response.text
        assert dashboard.asked == []


def test_the_page_says_which_store_and_role_and_holds_no_secret() -> None:
    dashboard = invited()

    response = dashboard.ask("GET", "/invitation", FOLLOWED)

    assert json.loads(dashboard.asked[0].content) == {"token": SECRET}
    for text in ("You are invited to Pots &amp; &lt;b&gt;Pans&lt;/b&gt;", "<dd>pots</dd>", "Manager: sees the numbers",
                 "olive<wbr>@shop.example", "Ann<wbr>@shop.example", "6 December 2026, 12:00 UTC"):  # fmt: skip
        assert text in response.text
    assert SECRET not in response.text


def test_who_is_not_signed_in_is_sent_to_sign_in_or_to_register_and_comes_back() -> None:
    dashboard = invited()
    page = dashboard.ask("GET", "/invitation", FOLLOWED).text
    assert 'href="/sign-in?next=/invitation"' in page
    assert 'href="/register"' in page
    assert "Accept" not in page

    for path in ("/sign-in?next=/invitation", "/register"):
        text = dashboard.ask("GET", path, FOLLOWED).text
        assert "Then you come back to the invitation to Pots &amp; " in text
        assert 'value="Ann@shop.example"' in text
    for target in ("/invitation", "/"):
        answer = dashboard.post("/sign-in", {**FORM, "next": target}, FOLLOWED)
        assert answer.headers["location"] == "/invitation"
    assert dashboard.post("/sign-in", {**FORM, "next": "/live"}, FOLLOWED).headers["location"] == "/live"
    assert dashboard.post("/sign-in", FORM).headers["location"] == "/"


def test_one_button_makes_a_member_and_the_dashboard_opens_with_the_store() -> None:
    dashboard = invited("ann@shop.example", "tea")
    dashboard.known.acceptances[TOKEN, SECRET] = Membership("pots", "u1", StoreRole.MANAGER, 1)

    response = accept(dashboard)

    assert (response.status_code, response.headers["location"]) == (303, "/?store=pots")
    assert cookie_of(response)[:2] == ("marketplace-invitation", "")
    assert cookie_of(response)[2]["Max-Age"] == "0"


def test_who_has_accepted_sees_the_store_at_once() -> None:
    known = Known({TOKEN: viewer_of("tea")})
    known.acceptances[TOKEN, SECRET] = Membership("pots", "u1", StoreRole.ANALYST, 1)
    viewers = Viewers(known, QueryCache(lambda: 100.0))
    assert set(viewers.now(TOKEN, local=False).stores) == {"tea"}

    viewers.accept(TOKEN, SECRET).result(5)

    assert set(viewers.now(TOKEN, local=False).stores) == {"tea", "pots"}


@pytest.mark.parametrize("form", [{}, {"invitation": ""}, {"invitation": "0" * 16}, {"invitation": SECRET}])
def test_a_form_of_another_invitation_than_the_one_that_is_shown_accepts_nothing(form: dict[str, str]) -> None:
    dashboard = invited("ann@shop.example")
    dashboard.known.acceptances[TOKEN, SECRET] = Membership("pots", "u1", StoreRole.ANALYST, 1)

    response = dashboard.post("/invitation", form, BOTH)

    assert (response.status_code, response.headers["location"]) == (303, "/invitation")
    assert (TOKEN, SECRET) in dashboard.known.acceptances


def test_who_has_signed_out_meanwhile_accepts_nothing_and_comes_back_after_signing_in() -> None:
    dashboard = invited("ann@shop.example")
    form = form_of(dashboard.ask("GET", "/invitation", BOTH))
    dashboard.known.viewers.clear()

    assert dashboard.post("/invitation", form, BOTH).headers["location"] == "/sign-in?next=/invitation"


ENDS = {
    LinkEnd.ACCEPTED: "This invitation was accepted already",
    LinkEnd.REVOKED: "This invitation was revoked",
    LinkEnd.REPLACED: "There is a newer invitation",
    LinkEnd.EXPIRED: "This invitation has expired",
    LinkEnd.UNKNOWN: "This invitation is not valid",
}


@pytest.mark.parametrize("end", LinkEnd)
def test_an_invitation_that_is_worth_nothing_says_why_and_is_forgotten(end: LinkEnd) -> None:
    dashboard = invited("ann@shop.example")
    dashboard.known.acceptances[TOKEN, SECRET] = LinkGone(end)
    late = accept(dashboard)
    dashboard.answers[PREVIEWS] = httpx.Response(410, json={"errors": [{"path": "/token", "code": end.value}]})

    for response in (late, dashboard.ask("GET", "/invitation", BOTH)):
        assert response.status_code == 410
        assert f"<h1>{ENDS[end]}</h1>" in response.text
        assert cookie_of(response)[:2] == ("marketplace-invitation", "")


@pytest.mark.parametrize(
    "body", [{}, {"errors": "x"}, {"errors": [{"path": "/token", "code": "new"}]}, {"errors": [1]}]
)
def test_an_end_that_the_page_does_not_know_is_that_of_a_link_that_is_not_valid(body: dict[str, Any]) -> None:
    dashboard = invited()
    dashboard.answers[PREVIEWS] = httpx.Response(410, json=body)

    assert ENDS[LinkEnd.UNKNOWN] in dashboard.ask("GET", "/invitation", FOLLOWED).text


def test_an_invitation_to_another_address_names_both_and_offers_to_sign_in_again() -> None:
    dashboard = invited("bob@shop.example", "pots")

    text = dashboard.ask("GET", "/invitation", BOTH).text

    assert "was sent to Ann@shop.example, and you are signed in as bob@shop.example." in text
    assert 'action="/sign-out"' in text
    assert 'name="next" value="/invitation"' in text
    assert "Accept the invitation" not in text


def test_a_sign_out_on_the_way_to_an_invitation_leads_back_to_it() -> None:
    dashboard = invited("bob@shop.example")

    response = dashboard.post("/sign-out", {"next": "/invitation"}, BOTH)

    assert response.headers["location"] == "/sign-in?out=yes&next=/invitation"
    assert cookie_of(response)[0] == "marketplace-session"
    elsewhere = dashboard.post("/sign-out", {"next": "//evil.example"}, BOTH)
    assert elsewhere.headers["location"] == "/sign-in?out=yes"


def test_who_works_in_the_store_already_is_led_to_it() -> None:
    text = invited("ann@shop.example", "pots").ask("GET", "/invitation", BOTH).text

    assert "You work in this store already." in text
    assert 'href="/?store=pots"' in text
    assert "Accept the invitation" not in text


@pytest.mark.parametrize("error", [WrongAddress(), AlreadyMember("member")])
def test_what_the_page_itself_says_is_looked_at_there(error: Exception) -> None:
    dashboard = invited("ann@shop.example")
    dashboard.known.acceptances[TOKEN, SECRET] = error

    response = accept(dashboard)

    assert (response.status_code, response.headers["location"]) == (303, "/invitation")


@pytest.mark.parametrize(
    "error", [InviterGone("who invited you may not give this role any more"), LimitReached("full")]
)
def test_what_an_owner_can_change_is_said_and_the_invitation_stays(error: Exception) -> None:
    dashboard = invited("ann@shop.example")
    dashboard.known.acceptances[TOKEN, SECRET] = error

    response = accept(dashboard)

    assert response.status_code == 409
    text = str(error)
    assert f'role="alert">{text[0].upper()}{text[1:]}.' in response.text
    assert "set-cookie" not in response.headers


def test_an_api_that_does_not_answer_is_reported_and_the_page_tries_again() -> None:
    for answer in (httpx.ConnectError("refused"), httpx.Response(503, json={}), httpx.Response(200, json={"store": 5})):
        dashboard = invited("ann@shop.example")
        dashboard.answers[PREVIEWS] = answer
        response = dashboard.ask("GET", "/invitation", BOTH)
        assert response.status_code == 503
        assert 'content="5;url=/invitation"' in response.text
        assert "set-cookie" not in response.headers


def test_a_store_that_may_have_been_joined_is_not_said_to_be() -> None:
    dashboard = invited("ann@shop.example")
    form = form_of(dashboard.ask("GET", "/invitation", BOTH))
    dashboard.known.unavailable = True

    response = dashboard.post("/invitation", form, BOTH)

    assert response.status_code == 503
    assert "It is not certain" in response.text


def test_too_many_looks_at_invitations_say_when_to_try_again() -> None:
    dashboard = invited()
    dashboard.answers[PREVIEWS] = httpx.Response(429, json={}, headers={"retry-after": "200"})

    response = dashboard.ask("GET", "/invitation", FOLLOWED)

    assert (response.status_code, response.headers["retry-after"]) == (429, "200")
    assert "Try again in 4 minutes." in response.text


def test_the_secret_is_in_no_log_and_in_no_page(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    dashboard = invited("ann@shop.example")
    pages = [dashboard.ask("GET", "/invitation", BOTH), accept(dashboard)]
    for answer in (httpx.ConnectError("refused"), httpx.Response(410, json=GONE)):
        dashboard.answers[PREVIEWS] = answer
        pages.append(dashboard.ask("GET", "/invitation", BOTH))

    assert [page for page in pages if SECRET in page.text or SECRET in str(page.headers)] == []
    assert SECRET not in caplog.text
    assert {page.headers["referrer-policy"] for page in pages} == {"same-origin"}


def test_the_first_page_after_a_lost_answer_of_an_acceptance_says_that_it_was_accepted() -> None:
    dashboard = invited("ann@shop.example", "pots")
    dashboard.answers[PREVIEWS] = httpx.Response(410, json=GONE)

    assert "Go to the dashboard" in dashboard.ask("GET", "/invitation", BOTH).text
