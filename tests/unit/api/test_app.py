"""The application without parts: what every route does, whatever its service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from api.access import Caller
from api.app import Services, build_app
from api.limits import Limiter
from api.web.bodies import MAX_BODY_BYTES, REQUEST_SECONDS
from api.web.edge import Edge
from connectors.errors import Unavailable
from connectors.redis.token_buckets import Taken
from marketplace.identity.accounts import User
from marketplace.identity.claims import InvalidClaims
from marketplace.token_bucket import BucketPolicy

ANN = User("user-ann", "ann@shop.example", "Ann", "hash", 1_700_000_000_123)
MARKER = "s3cret-marker"


class Identities:
    """Knows one token, and fails on demand."""

    async def caller_of(self, access_token: str) -> Caller | None:
        if access_token == "down":
            raise Unavailable("Redis does not answer")
        if access_token == "slow":
            await asyncio.Event().wait()
        if access_token == "ended":
            return None
        if access_token == "bug":
            raise RuntimeError(MARKER)
        if access_token != "good":
            raise InvalidClaims("exp: expired")
        return Caller(ANN, "session-1")


class Unlimited:
    """Buckets that are always full."""

    async def take(self, name: str, policy: BucketPolicy, cost: float = 1.0) -> Taken:
        return Taken(True, policy.burst, 0, 0)


@asynccontextmanager
async def services() -> AsyncIterator[Services]:
    yield Services(Identities(), Limiter(Unlimited()))


def make_app(request_seconds: float = REQUEST_SECONDS) -> Edge:
    app = build_app(services, hosts=("api.example",), request_seconds=request_seconds)
    app.app.state.identities = Identities()  # type: ignore[attr-defined]  # nothing starts the application here
    app.app.state.limiter = Limiter(Unlimited())  # type: ignore[attr-defined]
    return app


APP, IMPATIENT_APP = make_app(), make_app(request_seconds=0.05)
RULES = APP.app.state.rules  # type: ignore[attr-defined]
OPENAPI = APP.app.state.openapi  # type: ignore[attr-defined]


WITH_BODY = {
    (method, path): rule
    for (method, path), rule in RULES.items()
    if "requestBody" in OPENAPI["paths"][path][method.lower()]
}
GOOD = {"authorization": "Bearer good"}


def path_of(template: str) -> str:
    """A path of a route."""
    return template.replace("{session}", "0" * 32)


def ask(method: str, path: str, *, app: Edge = APP, **options: Any) -> httpx.Response:
    async def work() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            return await client.request(method, path_of(path), **options)

    return asyncio.run(work())


def assert_problem(response: httpx.Response, status: int, name: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["type"], body["status"]) == (f"/problems/{name}", status)
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    return body


def as_list(rules: Any) -> list[Any]:
    return [pytest.param(method, path, rule, id=f"{method} {path}") for (method, path), rule in sorted(rules.items())]


@pytest.mark.parametrize(("method", "path", "rule"), as_list(RULES))
def test_a_route_answers_what_it_demands_to_nobody_and_refuses_what_does_not_hold(
    method: str, path: str, rule: Any
) -> None:
    for token, name in (("wrong", "unauthenticated"), ("ended", "unauthenticated")):
        response = ask(method, path, headers={"authorization": f"Bearer {token}"})
        assert_problem(response, 401, name)
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    for header in ("good", "Basic good", "Bearer", "Bearer  ", "bearer"):
        assert_problem(ask(method, path, headers={"authorization": header}), 401, "unauthenticated")
    down = ask(method, path, headers={"authorization": "Bearer down"})
    assert_problem(down, 503, "unavailable")
    assert int(down.headers["retry-after"]) >= 1
    if rule.demand != "nobody has to be signed in":
        assert ask(method, path).headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "rule"), as_list(WITH_BODY))
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "multipart/form-data; boundary=x", 415),
        (b"{}", "", 415),
        (b"{", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"a": Infinity}', "application/json", 400),
        (b'{"a": "\xff"}', "application/json", 400),
        (b'{"a": "\\ud800"}', "application/json", 400),
        (b"[" * 20_000, "application/json", 400),
        (b"[" * 17 + b"]" * 17, "application/json", 400),
        (b'{"a": ' * 17 + b"1" + b"}" * 17, "application/json", 400),
        (b" " * (MAX_BODY_BYTES + 1), "application/json", 413),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (
            b'{"email": {"$gt": ""}, "token": {"$ne": 1}, "password": ["x"], "refresh_token": 5}',
            "application/json",
            422,
        ),
        (b"", "application/json", 422),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else str(value),
)
def test_a_body_that_cannot_be_taken_is_a_problem_and_never_an_error_of_ours(
    method: str, path: str, rule: Any, body: bytes, content_type: str, status: int
) -> None:
    headers = GOOD | ({"content-type": content_type} if content_type else {})
    response = ask(method, path, content=body, headers=headers)
    names = {400: "bad-request", 413: "too-large", 415: "unsupported-media-type", 422: "invalid"}
    assert_problem(response, status, names[status])


@pytest.mark.parametrize(("method", "path", "rule"), as_list({k: v for k, v in RULES.items() if k not in WITH_BODY}))
def test_a_body_that_nobody_reads_is_bounded_all_the_same(method: str, path: str, rule: Any) -> None:
    if method != "GET":
        assert_problem(
            ask(method, path, content=b"{}", headers=GOOD | {"content-type": "text/plain"}),
            415,
            "unsupported-media-type",
        )
        assert_problem(ask(method, path, content=b" " * (MAX_BODY_BYTES + 1), headers=GOOD), 413, "too-large")


def examples(path: str, method: str) -> dict[str, Any]:
    """A good body of a route, by its schema."""
    operation = OPENAPI["paths"][path][method.lower()]
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    properties = OPENAPI["components"]["schemas"][name]["properties"]
    return {field: schema.get("examples", [f"{MARKER}-of-sixteen"])[0] for field, schema in properties.items()}


@pytest.mark.parametrize(("method", "path", "rule"), as_list(WITH_BODY))
def test_no_answer_repeats_what_was_sent(method: str, path: str, rule: Any) -> None:
    good = examples(path, method)
    for left_out in good:
        body = {name: f"{MARKER}\x00{name}" for name in good if name != left_out} | {"role": f"{MARKER} role"}
        response = ask(method, path, json=body, headers=GOOD)
        found = assert_problem(response, 422, "invalid")
        assert MARKER not in response.text
        assert {f"/{left_out}", "/role"} <= {error["path"] for error in found["errors"]}


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/identity/nothing", 404, "not-found"),
        ("DELETE", "/v1/identity/me", 405, "method-not-allowed"),
        ("TRACE", "/v1/identity/me", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_too(method: str, path: str, status: int, name: str) -> None:
    response = ask(method, path)
    assert_problem(response, status, name)
    if status == 405:
        assert response.headers["allow"] == "GET"


@pytest.mark.parametrize(
    "host", ["other.example", "api.example.evil.example", "api.example:x", "api.example/", "a@api.example", "", "api_x"]
)
def test_another_host_is_refused_before_anything_else(host: str) -> None:
    assert_problem(ask("GET", "/v1/identity/me", headers={"host": host}), 400, "bad-request")


@pytest.mark.parametrize("host", ["api.example", "API.example:8000"])
def test_the_own_host_is_taken_with_any_port(host: str) -> None:
    assert_problem(ask("GET", "/v1/identity/me", headers={"host": host}), 401, "unauthenticated")


def test_a_bug_is_an_answer_that_says_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    response = ask("GET", "/v1/identity/me", headers={"authorization": "Bearer bug"})
    body = assert_problem(response, 500, "internal")
    assert MARKER not in response.text
    assert body["request_id"] in caplog.text


@pytest.mark.parametrize(("method", "path", "rule"), as_list(RULES))
def test_work_that_takes_too_long_is_answered_with_the_time_of_a_repetition(method: str, path: str, rule: Any) -> None:
    response = ask(method, path, app=IMPATIENT_APP, headers={"authorization": "Bearer slow"})
    assert_problem(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1


def test_a_request_id_is_taken_over_when_it_is_one_and_made_otherwise() -> None:
    given = ask("GET", "/v1/identity/me", headers={"x-request-id": "abcdefgh-1234"})
    assert given.headers["x-request-id"] == "abcdefgh-1234"
    for odd in ("short", "x" * 65, "with space in it", "line\tbreak-xx"):
        other = ask("GET", "/v1/identity/me", headers={"x-request-id": odd})
        assert other.headers["x-request-id"] != odd


def test_who_is_signed_in_sees_the_own_account_and_no_hash() -> None:
    response = ask("GET", "/v1/identity/me", headers={"authorization": "Bearer good"})
    assert response.json() == {
        "id": "user-ann", "email": "ann@shop.example", "name": "Ann", "admin": False, "tier": "free",
        "created_at": "2023-11-14T22:13:20.123Z",
    }  # fmt: skip


def test_the_document_has_every_route_with_its_problems_and_none_of_the_frameworks_own() -> None:
    text = json.dumps(OPENAPI)
    assert OPENAPI["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in text
    operations = {(m.upper(), p): o for p, methods in OPENAPI["paths"].items() for m, o in methods.items()}
    assert set(operations) == set(RULES)
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for key, operation in operations.items():
        assert {"400", "401", "429", "500", "503"} <= set(operation["responses"]), key
        signed_in = RULES[key].demand != "nobody has to be signed in"
        assert ("security" in operation) == signed_in, key
