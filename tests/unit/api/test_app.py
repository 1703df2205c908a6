"""The application without parts: what every route does, whatever its service."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from api.access import Demand
from api.analytics.service import AnalyticsService
from api.app import Services, build_app
from api.callers import Access, Caller
from api.catalog.service import CatalogService
from api.known import Known
from api.limits import Limiter
from api.ordering import Ordering
from api.payments.service import WebhookService
from api.search.index import SearchIndex
from api.search.service import SearchService
from api.shopping import Shopping
from api.storefront.addresses import is_page
from api.storefront.service import Shop
from api.tenancy import Tenancy
from api.web.bodies import BODY_SECONDS, MAX_BODY_BYTES, REQUEST_SECONDS
from api.web.edge import Edge
from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.redis.token_buckets import Taken
from marketplace.entitlements import Tier
from marketplace.identity.accounts import User
from marketplace.identity.claims import InvalidClaims
from marketplace.identity.roles import StoreRole, permissions_of
from marketplace.identity.tenancy import Standing, StoreRecord
from marketplace.stores import Store
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
        if access_token == "admin":
            return Caller(replace(ANN, admin=True), "session-2")
        if access_token != "good":
            raise InvalidClaims("exp: expired")
        return Caller(ANN, "session-1")


class Unlimited:
    """Buckets that are always full."""

    async def give_back(self, name: str, policy: BucketPolicy, tokens: float) -> None:
        pass

    async def take(
        self, name: str, policy: BucketPolicy, cost: float = 1.0, ahead: float = 0.0, back: float = 0.0
    ) -> Taken:
        return Taken(True, policy.burst, 0, 0)


class OneStore:
    """Everybody owns one store, and there is no API key."""

    async def access(self, caller: Caller, slug: str) -> Access | None:
        record = StoreRecord(Store(slug, "Shop", "UTC", (), "hash", "0" * 64), 1)
        return Access(record, {}, Standing(Tier.FREE, False), StoreRole.OWNER, permissions_of(StoreRole.OWNER))

    async def caller_of_key(self, key: str) -> Caller | None:
        return None


TENANCY = cast(Tenancy, OneStore())
SHOPPING = cast(Shopping, None)  # no route of a shop is asked with success here
ORDERING = cast(Ordering, None)  # nor one of orders
ANALYTICS = AnalyticsService.on_clickhouse(ClickHouse("http://127.0.0.1:9", "nothing"))  # nothing listens there
SEARCH = SearchService.on_index(SearchIndex())

SHOP = cast(Shop, object())
WEBHOOKS = cast(WebhookService, object())
CATALOG = cast(CatalogService, object())  # no request here asks for it


@asynccontextmanager
async def services() -> AsyncIterator[Services]:
    yield Services(
        Identities(), Limiter(Unlimited()), TENANCY, ANALYTICS, CATALOG, SEARCH, SHOPPING, ORDERING, SHOP, WEBHOOKS
    )


def make_app(request_seconds: float = REQUEST_SECONDS, body_seconds: float = BODY_SECONDS) -> Edge:
    app = build_app(services, hosts=("api.example",), request_seconds=request_seconds, body_seconds=body_seconds)
    app.app.state.identities = Identities()  # type: ignore[attr-defined]  # nothing starts the application here
    app.app.state.limiter = Limiter(Unlimited())  # type: ignore[attr-defined]  # the edge is typed as any application
    app.app.state.tenancy = TENANCY  # type: ignore[attr-defined]  # the edge is typed as any application
    app.app.state.known = Known(Identities(), TENANCY)  # type: ignore[attr-defined]  # the edge is typed as any application
    app.app.state.analytics = ANALYTICS  # type: ignore[attr-defined]  # the edge is typed as any application
    app.app.state.search = SEARCH  # type: ignore[attr-defined]  # the edge is typed as any application
    return app


APP, IMPATIENT_APP = make_app(), make_app(request_seconds=0.05, body_seconds=0.05)
# Pages of the storefront answer with pages; tests/unit/storefront is about them.
RULES = {key: rule for key, rule in APP.app.state.rules.items() if not is_page(key[1])}  # type: ignore[attr-defined]  # the edge is typed as any application
OPENAPI = APP.app.state.openapi()  # type: ignore[attr-defined]  # the edge is typed as any application


def path_of(template: str) -> str:
    """A path of a route."""
    return re.sub(r"{\w+}", "premium", template.replace("{session}", "0" * 32))


def ask(method: str, path: str, *, app: Edge = APP, **options: Any) -> httpx.Response:
    """Send a request to a route; parameters of its path get values."""

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


def has_body(key: tuple[str, str]) -> bool:
    """Whether a route takes a body."""
    return bool(media_of(key))


def media_of(key: tuple[str, str]) -> set[str]:
    """The media types of the body of a route."""
    method, path = key
    body = OPENAPI["paths"].get(path, {}).get(method.lower(), {}).get("requestBody", {"content": {}})
    return {*body["content"]}


SIGNED = {("POST", "/v1/payments/webhooks/{provider}")}
"""Routes that look at no byte of a body before its signature: see tests/integration/test_api_payment_webhooks.py."""
WITH_BODY = {key: rule for key, rule in RULES.items() if media_of(key) == {"application/json"} and key not in SIGNED}
WITH_FILE = {key: rule for key, rule in RULES.items() if has_body(key) and key not in WITH_BODY and key not in SIGNED}
WITHOUT_BODY = {key: rule for key, rule in RULES.items() if key[0] != "GET" and not has_body(key)}
ADMIN = {"authorization": "Bearer admin"}
NOT_A_BODY = [
    (b"{}", "text/plain", 415),
    (b"{}", "application/x-www-form-urlencoded", 415),
    (b"{}", "multipart/form-data; boundary=x", 415),
    (b"{}", "", 415),
    (b"{", "application/json", 400),
    (b'{"a": 1, "a": 2}', "application/json", 400),
    (b'[{"b": {"\\u0061": 1, "a": {}}}]', "application/json", 400),
    (b'{"a": NaN}', "application/json", 400),
    (b'{"a": Infinity}', "application/json", 400),
    (b'{"a": "\xff"}', "application/json", 400),
    (b'{"a": "\\ud800"}', "application/json", 400),
    (b"[" * 20_000, "application/json", 400),
    (b"[" * 17 + b"]" * 17, "application/json", 400),
    (b'{"a": ' * 17 + b"1" + b"}" * 17, "application/json", 400),
    (b" " * (MAX_BODY_BYTES + 1), "application/json", 413),
]


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


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_body_that_says_it_is_compressed_is_not_read_as_if_it_were_not(method: str, path: str) -> None:
    for encoding in ("gzip", "br", "x", "identity, gzip"):
        headers = {"content-type": "application/json", "content-encoding": encoding} | ADMIN
        response = ask(method, path, content=b"{}", headers=headers)
        assert response.status_code == 415, encoding
        assert_problem(response, 415, "unsupported-media-type")
        assert response.headers["accept-encoding"] == "identity", encoding


KEY = {"idempotency-key": "8a1f0c52"}
"""What is done once asks for it."""


def assert_not_taken(method: str, path: str, bodies: Iterable[tuple[bytes, str, int]]) -> None:
    names = {400: "bad-request", 413: "too-large", 415: "unsupported-media-type", 422: "invalid"}
    for body, content_type, status in bodies:
        headers = {"content-type": content_type} if content_type else {}
        response = ask(method, path, content=body, headers=headers | ADMIN | KEY)
        assert response.status_code == status, (body[:20], content_type, response.text)
        assert_problem(response, status, names[status])


@pytest.mark.parametrize(("method", "path", "rule"), as_list(WITHOUT_BODY))
def test_a_route_without_a_body_refuses_what_is_none_as_well(method: str, path: str, rule: Any) -> None:
    assert_not_taken(method, path, NOT_A_BODY)


@pytest.mark.parametrize(("method", "path", "rule"), as_list(WITH_BODY))
def test_a_body_that_cannot_be_taken_is_a_problem_and_never_an_error_of_ours(method: str, path: str, rule: Any) -> None:
    hostile = b'{"email": {"$gt": ""}, "token": {"$ne": 1}, "password": ["x"], "refresh_token": 5}'
    no_object = [(each, "application/json", 422) for each in (b"[]", b"null", hostile, b"")]
    assert_not_taken(method, path, [*NOT_A_BODY, *no_object])


@pytest.mark.parametrize(("method", "path", "rule"), as_list(WITH_FILE))
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "text/csv, text/csv"},
        {"content-type": "text/csv", "content-encoding": "gzip"},
    ],
)
def test_a_file_of_another_kind_is_refused(method: str, path: str, rule: Any, headers: dict[str, str]) -> None:
    response = ask(method, path, content=b"slug,sku\n", headers=headers | ADMIN)
    assert_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize(("method", "path", "rule"), as_list(WITH_FILE))
def test_who_may_send_no_file_is_refused_before_it_comes(method: str, path: str, rule: Any) -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    assert_problem(ask(method, path, content=never(), headers={"content-type": "text/csv"}), 401, "unauthenticated")


def examples(path: str, method: str) -> tuple[dict[str, Any], set[str]]:
    """A good body of a route, by its schema, and the fields that it cannot do without."""
    operation = OPENAPI["paths"][path][method.lower()]
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = OPENAPI["components"]["schemas"][name]
    values = {field: each.get("examples", [f"{MARKER}-of-sixteen"])[0] for field, each in schema["properties"].items()}
    return values, set(schema.get("required", ()))


@pytest.mark.parametrize(("method", "path", "rule"), as_list(WITH_BODY))
def test_no_answer_repeats_what_was_sent(method: str, path: str, rule: Any) -> None:
    good, required = examples(path, method)
    for left_out in good:
        body = {name: f"{MARKER}\x00{name}" for name in good if name != left_out} | {"role": f"{MARKER} role"}
        response = ask(method, path, json=body, headers=ADMIN | KEY)
        found = assert_problem(response, 422, "invalid")
        assert MARKER not in response.text
        paths = {error["path"] for error in found["errors"]}
        assert paths & {"/role", f"/{left_out}"} == {"/role"} | ({f"/{left_out}"} & {f"/{name}" for name in required})


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/identity/nothing", 404, "not-found"),
        ("GET", "/v1/identity/me/", 404, "not-found"),
        ("GET", "/v1/stores/", 404, "not-found"),
        ("GET", "//v1/stores", 404, "not-found"),
        ("GET", "/V1/stores", 404, "not-found"),
        ("DELETE", "/v1/identity/me", 405, "method-not-allowed"),
        ("TRACE", "/v1/identity/me", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_too(method: str, path: str, status: int, name: str) -> None:
    response = ask(method, path)
    assert_problem(response, status, name)
    if status == 405:
        assert response.headers["allow"] == "GET, HEAD"


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


@pytest.mark.parametrize(("method", "path", "rule"), as_list({k: v for k, v in RULES.items() if k[0] != "GET"}))
def test_a_body_that_does_not_come_is_waited_for_no_longer_than_any_other_work(
    method: str, path: str, rule: Any
) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    kind = "text/csv" if (method, path) in WITH_FILE else "application/json"
    response = ask(method, path, app=IMPATIENT_APP, content=trickle(), headers={"content-type": kind} | ADMIN)
    assert_problem(response, 400, "bad-request")
    assert response.headers["connection"] == "close"


def test_an_answer_that_nobody_reads_takes_no_place_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * 1_000_000})

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        async def receive() -> Any:
            raise AssertionError("nothing is read")

        edge = Edge(app, max_requests=1, send_seconds=0.01)
        for _ in range(3):
            scope = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"host", b"api.example")]}
            await edge(scope, receive, send)

    asyncio.run(work())
    assert caplog.text.count("its answer was not read") == 3


COUNTED_APP = make_app()
KEEPS_ACCESS = re.compile(
    r"/v1/invitations/previews|/v1/carts?(/.*)?|/v1/.*reviews?(/.*)?|/v1/payments/.*|/v1/.*notification.*"
    r"|/v1/(.*/)?orders?(/.*)?|/v1/.*/stock(/.*)?"
)
"""Routes that change no account, sign-in or member, although their method is not GET."""


class Counting(Known):
    """Counts how often everything is forgotten."""

    forgotten = 0

    def forget(self) -> None:
        self.forgotten += 1
        super().forget()


@pytest.mark.parametrize(("method", "path", "rule"), as_list(RULES))
def test_who_is_refused_makes_nobody_else_be_asked_for_once_more(method: str, path: str, rule: Any) -> None:
    known = Counting(Identities(), TENANCY)
    COUNTED_APP.app.state.known = known  # type: ignore[attr-defined]  # the edge is typed as any application
    refused = {"wrong": 401, "ended": 401, "down": 503} | ({"": 401} if rule.demand != Demand.NOTHING else {})
    refused |= {"good": 403} if rule.demand is Demand.ADMIN else {}
    for token, status in refused.items():
        headers = {"authorization": f"Bearer {token}"} if token else {}
        assert ask(method, path, app=COUNTED_APP, headers=headers).status_code == status
    assert known.forgotten == 0
    ask(method, path, app=COUNTED_APP, headers=ADMIN)
    assert known.forgotten == (0 if method == "GET" or KEEPS_ACCESS.fullmatch(path) else 1)


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
    assert set(operations) <= set(RULES)
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for key, operation in operations.items():
        assert {"400", "401", "429", "500", "503"} <= set(operation["responses"]), key
        signed_in = RULES[key].demand != "nobody has to be signed in"
        assert ("security" in operation) == signed_in, key


def test_an_edit_needs_the_version_that_reading_and_making_say() -> None:
    store = OPENAPI["paths"]["/v1/stores/{store}"]
    taken = [each for each in store["patch"]["parameters"] if each["name"] == "If-Match"]
    assert [(each["in"], each["required"], each["schema"]) for each in taken] == [("header", True, {"type": "string"})]
    made = OPENAPI["paths"]["/v1/stores"]["post"]["responses"]["201"]["headers"]
    for headers in (made, *(store[method]["responses"]["200"]["headers"] for method in ("get", "patch"))):
        assert headers["ETag"]["required"]
    assert made["Location"]["required"]


def test_more_requests_than_can_be_answered_at_one_time_are_asked_to_come_again_and_the_others_go_on() -> None:
    async def work() -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            begun.set()
            await may_end.wait()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        transport = httpx.ASGITransport(Edge(slow, max_requests=1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            first = asyncio.create_task(client.get("/x"))
            await begun.wait()
            refused = await client.get("/x")
            assert_problem(refused, 503, "unavailable")
            assert int(refused.headers["retry-after"]) >= 1
            may_end.set()
            assert (await first).status_code == 204
            assert (await client.get("/x")).status_code == 204

    asyncio.run(work())
