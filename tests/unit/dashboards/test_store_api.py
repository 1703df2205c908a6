"""Changes that the dashboard asks the API for: with whose rights, and how often they are done."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from connectors.errors import Unavailable
from dashboards.data.access import SignedOut
from dashboards.data.store_api import Change, Form, MaybeDone, SignIn, StoreApi
from dashboards.web.identity_api import Browser

ANN = SignIn("0f.1e.secret", Browser("203.0.113.9, 127.0.0.1", "Firefox"))
REFUND = Change("POST", "orders/o1/refunds", {"lines": [{"number": 1, "quantity": 1}]})


class Api:
    """Answers what a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.token: httpx.Response | Exception = httpx.Response(200, json={"access_token": "a.b.c", "expires_in": 900})
        self.answer: httpx.Response | Exception = httpx.Response(200, json={"state": "confirmed"})
        self.client = StoreApi("http://api.example", httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.token if request.url.path == "/v1/identity/access-tokens" else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def changes(self) -> list[httpx.Request]:
        return [each for each in self.asked if each.url.path != "/v1/identity/access-tokens"]

    def change(self, form: Form, change: Change = REFUND, sign_in: SignIn = ANN) -> Any:
        return self.client.change(sign_in, "tea", change, form.key("tea", change))


def test_a_change_is_asked_for_as_the_viewer_with_a_token_of_its_own_each_time() -> None:
    api = Api()
    assert api.change(Form()).status == 200
    assert api.change(Form()).status == 200

    first, change, *_ = api.asked
    assert json.loads(first.content) == {"refresh_token": "0f.1e.secret"}
    assert change.url.path == "/v1/stores/tea/orders/o1/refunds"
    assert change.headers["authorization"] == "Bearer a.b.c"
    assert json.loads(change.content) == REFUND.body
    for request in api.asked:
        assert request.headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
        assert request.headers["user-agent"] == "Firefox"
    assert len(api.changes) == len(api.asked) - len(api.changes) == 2


def test_a_double_click_and_another_try_have_one_key_and_anything_else_has_another() -> None:
    form = Form()
    other = Change("POST", "orders/o1/refunds", {"lines": [{"number": 1, "quantity": 2}]})
    assert form.key("tea", REFUND) == form.key("tea", Change(REFUND.method, REFUND.path, dict(REFUND.body or {})))
    keys = [
        form.key("tea", REFUND),
        form.key("tea", other),
        form.key("pots", REFUND),
        form.key("tea", Change("POST", "orders/o2/refunds", REFUND.body)),
        form.key("tea", Change("POST", "orders/o1/cancel")),
        Form().key("tea", REFUND),
    ]
    assert len(set(keys)) == len(keys)
    api = Api()
    api.change(form)
    assert api.changes[0].headers["idempotency-key"] == keys[0]
    assert all(33 <= ord(char) <= 126 for char in keys[0])


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(503, json={}),
        httpx.Response(500, text="oops"),
        httpx.Response(200, text="no json"),
        httpx.Response(200, json=[]),
        httpx.Response(
            409, json={"errors": [{"path": "header:idempotency-key", "code": "in-progress", "message": ""}]}
        ),
    ],
)
def test_where_the_api_does_not_say_what_it_did_nothing_is_claimed(answer: httpx.Response | Exception) -> None:
    api = Api()
    api.answer = answer
    with pytest.raises(MaybeDone):
        api.change(Form())


@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.Response(503),
                                    httpx.Response(429, json={}), httpx.Response(200, json={})])  # fmt: skip
def test_without_a_token_no_change_is_sent(answer: httpx.Response | Exception) -> None:
    api = Api()
    api.token = answer
    with pytest.raises(Unavailable):
        api.change(Form())
    assert api.changes == []


def test_an_api_that_is_gone_after_the_token_has_done_nothing() -> None:
    api = Api()
    api.answer = httpx.ConnectError("refused")
    with pytest.raises(Unavailable):
        api.change(Form())


def test_a_sign_in_that_has_ended_changes_nothing() -> None:
    api = Api()
    api.token = httpx.Response(401, json={})
    with pytest.raises(SignedOut):
        api.change(Form())
    with pytest.raises(SignedOut):
        api.change(Form(), sign_in=SignIn("", ANN.browser))
    assert api.changes == []


def test_a_refusal_says_why() -> None:
    api = Api()
    api.answer = httpx.Response(
        409, json={"errors": [{"path": "path:order", "code": "state", "message": "it has ended"}]}
    )
    found = api.change(Form())
    assert (found.status, found.problems()) == (409, {"path:order": "it has ended"})


def test_a_request_without_a_body_has_none() -> None:
    api = Api()
    api.change(Form(), Change("POST", "orders/o1/cancel"))
    assert api.changes[0].content == b""


def test_the_token_is_in_no_text_of_a_sign_in() -> None:
    assert "secret" not in repr(ANN)
