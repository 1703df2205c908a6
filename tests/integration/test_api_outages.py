"""Every route while Mongo, Redis or ClickHouse is frozen, killed, cut off or slow, and right after it came back.

An answer is what the route always answers, or a 503 that says when to repeat the request. Both come within a bound,
whatever the part does, and who needs nothing of the part has the answer as soon as always.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx
import pytest
import redis

from api.app import build_app
from api.storefront.addresses import is_page
from api.web.bodies import REQUEST_SECONDS
from tests.kits.api import PASSWORD, Api, Person, kill, own_database, running_api
from tests.kits.api_outages import (
    FAULTS,
    IDENTITY,
    MOST_AT_ONCE,
    OTHERS,
    PARTS,
    Parts,
    Shop,
    api_on,
    ask_at_once,
    cut_off,
    frozen,
    once_more,
    own_parts,
    slow,
    wait_until_nothing_is_known,
    works_without,
)
from tests.kits.api_people import Registry, session_of
from tests.kits.depth import LONG
from tests.kits.stack import eventually

BOUND_SECONDS = {"mongo": 5.0, "redis": 5.0, "clickhouse": REQUEST_SECONDS + 1.5}
"""Where a part does not answer; a route asks each at most once then."""
QUICK_SECONDS = 2.5
"""Of all requests at one time on a busy machine, where none of them waits for a part."""
SLOW_BOUND_SECONDS = 11.0
"""Where each answer of a part comes just in time: eight seconds, two more for what is under way, and the machine's."""

UNKNOWN_LINK = "an-unknown-link-of-some-length"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with own_parts(tmp_path_factory.mktemp("parts")) as running:
        yield running


@pytest.fixture(scope="module")
def registry(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with api_on(parts, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def api(registry: Registry) -> Api:
    return registry.api


@dataclass
class People:
    """Sessions of one account; a request that ends one has one of its own."""

    ann: Person
    refreshing: Person
    leaving: Person
    ending: str

    @staticmethod
    def make(registry: Registry) -> People:
        ann, refreshing, leaving, ending = registry.sign_in(registry.account(), 4)
        return People(ann, refreshing, leaving, session_of(ending))


Request = Callable[[Api, People], httpx.Response]


def post(name: str, body: Callable[[People], dict[str, Any]]) -> Request:
    return lambda api, people: api.post(f"{IDENTITY}/{name}", body(people))


def post_as_ann(name: str, body: dict[str, Any]) -> Request:
    return lambda api, people: people.ann.post(f"{IDENTITY}/{name}", body)


def ask_as_ann(method: str, name: str) -> Request:
    return lambda api, people: people.ann.ask(method, f"{IDENTITY}/{name.format(session=people.ending)}")


def someone() -> str:
    return f"{uuid.uuid4().hex}@shop.example"


WRONG = "a wrong password"
REQUESTS: dict[tuple[str, str], tuple[Request, int]] = {
    ("POST", f"{IDENTITY}/registrations"): (
        post("registrations", lambda _: {"email": someone(), "name": "Bob", "password": PASSWORD}),
        202,
    ),
    ("POST", f"{IDENTITY}/confirmations"): (post("confirmations", lambda _: {"token": UNKNOWN_LINK}), 410),
    ("POST", f"{IDENTITY}/sessions"): (
        post("sessions", lambda people: {"email": people.ann.email, "password": PASSWORD}),
        201,
    ),
    ("POST", f"{IDENTITY}/sessions/refresh"): (
        post("sessions/refresh", lambda people: {"refresh_token": people.refreshing.refresh_token}),
        200,
    ),
    ("POST", f"{IDENTITY}/access-tokens"): (
        post("access-tokens", lambda people: {"refresh_token": people.ann.refresh_token}),
        200,
    ),
    ("POST", f"{IDENTITY}/sessions/end"): (
        post("sessions/end", lambda people: {"refresh_token": people.leaving.refresh_token}),
        204,
    ),
    ("POST", f"{IDENTITY}/password-resets"): (post("password-resets", lambda people: {"email": people.ann.email}), 202),
    ("POST", f"{IDENTITY}/passwords"): (
        post("passwords", lambda _: {"token": UNKNOWN_LINK, "password": PASSWORD}),
        410,
    ),
    ("POST", f"{IDENTITY}/emails"): (post("emails", lambda _: {"token": UNKNOWN_LINK}), 410),
    ("POST", f"{IDENTITY}/password-changes"): (
        post_as_ann("password-changes", {"current_password": WRONG, "password": "another horse battery"}),
        422,
    ),
    ("POST", f"{IDENTITY}/email-changes"): (
        lambda api, people: people.ann.post(f"{IDENTITY}/email-changes", {"email": someone(), "password": PASSWORD}),
        202,
    ),
    ("POST", f"{IDENTITY}/deletions"): (post_as_ann("deletions", {"password": WRONG}), 422),
    ("GET", f"{IDENTITY}/me"): (ask_as_ann("GET", "me"), 200),
    ("GET", f"{IDENTITY}/sessions"): (ask_as_ann("GET", "sessions"), 200),
    ("DELETE", f"{IDENTITY}/sessions/{{session}}"): (ask_as_ann("DELETE", "sessions/{session}"), 204),
    ("GET", "/.well-known/jwks.json"): (lambda api, people: api.ask("GET", "/.well-known/jwks.json"), 200),
}
LAST = ("DELETE", f"{IDENTITY}/sessions")
"""It ends the sessions of all others, so it comes after them."""


WORKS_WITHOUT = {
    "mongo": {"GET /.well-known/jwks.json", f"POST {IDENTITY}/sessions/end"},
    "redis": {
        "GET /.well-known/jwks.json",
        *(f"POST {IDENTITY}/{name}" for name in ("registrations", "confirmations", "password-resets")),
        *(f"POST {IDENTITY}/{name}" for name in ("passwords", "emails")),
    },
}


def identity_asks(api: Api, people: People) -> dict[str, tuple[Callable[[], httpx.Response], int | None]]:
    return {" ".join(route): (partial(request, api, people), usual) for route, (request, usual) in REQUESTS.items()}


_IN_EVERY_RUN: Final = {("killed", "mongo"), ("frozen", "mongo"), ("frozen", "clickhouse")}
CASES: Final = [
    pytest.param(fault, part, id=f"{fault}-{part}", marks=() if (fault, part) in _IN_EVERY_RUN else LONG)
    for fault in FAULTS
    for part in PARTS
]


def test_the_tables_have_every_route() -> None:
    rules = build_app(lambda: pytest.fail("nothing starts")).app.state.rules  # type: ignore[attr-defined]  # the edge is typed as any application
    # Pages of the storefront: test_storefront_outages.py.
    assert {key for key in rules if not is_page(key[1])} == {*REQUESTS, LAST, *OTHERS}


@pytest.mark.parametrize(("fault", "part"), CASES)
def test_a_route_answers_as_always_or_says_when_to_repeat_and_works_right_afterwards(
    registry: Registry, parts: Parts, fault: str, part: str
) -> None:
    api, shop = registry.api, Shop.opened(registry)
    people = People.make(registry)
    # What people change is not tried before: afterwards nothing would be as it was.
    reading = shop.asks(changing=False)
    before = ask_at_once({what: (ask, None) for what, ask in reading.items()})
    usual = {what: each.response.status_code for what, each in before.items()}
    assert [what for what, status in usual.items() if status >= 500] == []
    assert sum(status == 200 for status in usual.values()) > len(OTHERS) / 2
    wait_until_nothing_is_known()

    # Nor during a fault in which it may be done.
    asked = reading if part == "clickhouse" or fault == "killed" else shop.asks()

    with FAULTS[fault](parts, part):
        during = ask_at_once(
            {what: (ask, usual.get(what)) for what, ask in asked.items()} | identity_asks(api, people),
            most=200 if part == "mongo" else MOST_AT_ONCE,
        )
        during |= ask_at_once({" ".join(LAST): (partial(ask_as_ann("DELETE", "sessions"), api, people), 204)})

    for answer in during.values():
        answer.assert_sound(BOUND_SECONDS[part])
    if fault != "killed":
        # Of one that is killed, another process is there within a moment.
        expected = {
            f"{method} {path} as {column}"
            for method, path in OTHERS
            for column in ("person", "key", "nobody")
            if works_without(part, method, path, column)
        } & {*asked} | WORKS_WITHOUT.get(part, {*identity_asks(api, people), " ".join(LAST)})
        # Answers for everybody are kept in Redis for a while, and come from there without Mongo.
        kept = {what for what in during if part == "mongo" and "/v1/shops/" in what}
        assert {what for what, answer in during.items() if answer.works} - kept == expected - kept
        hashing = ("registrations", "passwords", "password-changes", "email-changes", "deletions", "/sessions")
        for what in expected:
            if not what.endswith(hashing):
                assert during[what].seconds < QUICK_SECONDS, (what, during[what].seconds)

    # What was asked during the fault may have all connections for a moment more.
    first = next(iter(reading.values()))
    assert eventually(lambda: first().status_code < 500, 10)
    # One after the other, nearly: so many at once may take longer than a connection is waited for.
    again = ask_at_once({what: (once_more(ask), usual[what]) for what, ask in reading.items()}, most=8)
    identity = identity_asks(api, People.make(registry))
    again |= ask_at_once({what: (once_more(ask), status) for what, (ask, status) in identity.items()}, most=8)
    for answer in again.values():
        assert answer.response.status_code == answer.usual, (answer.what, answer.response.text)
    changing = {what: ask for what, ask in shop.asks(["person"]).items() if what not in usual}
    for answer in ask_at_once({what: (once_more(ask), None) for what, ask in changing.items()}, most=8).values():
        assert answer.response.status_code < 500, (answer.what, answer.response.text)


@pytest.mark.parametrize("part", [pytest.param("mongo", marks=LONG), "redis"])
def test_where_every_answer_of_a_part_comes_just_in_time_a_request_has_a_bound_all_the_same(
    registry: Registry, parts: Parts, part: str
) -> None:
    shop, people = Shop.opened(registry), People.make(registry)
    with slow(parts, part, 0.4):
        during = ask_at_once(
            {what: (ask, None) for what, ask in shop.asks(["person", "key"]).items()}
            | identity_asks(registry.api, people)
        )
    for answer in during.values():
        answer.assert_sound(SLOW_BOUND_SECONDS)
    assert registry.person().is_signed_in()


def test_where_more_requests_wait_than_there_are_connections_some_are_to_be_repeated_and_none_is_an_error(
    registry: Registry, parts: Parts
) -> None:
    ann = Shop.opened(registry).people["ann"]
    with slow(parts, "mongo", 0.4), ThreadPoolExecutor(100) as pool:
        # Who is asking is known to all of them, and the names of the members are asked for by each.
        answers = list(pool.map(lambda _: ann.ask("GET", "/v1/stores/shop/members"), range(100)))
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 503)
    assert ann.is_signed_in()


def test_guesses_are_limited_without_redis_too_and_the_service_says_that_it_limits_by_itself(
    registry: Registry, api: Api, parts: Parts
) -> None:
    ann = registry.person()
    with cut_off(parts, "redis"):
        answers = [
            api.post(f"{IDENTITY}/sessions", {"email": ann.email, "password": WRONG}).status_code for _ in range(100)
        ]
        assert set(answers) == {401, 429}
        assert answers.count(401) <= 6
        page = httpx.get(f"{api.admin_url}/metrics", timeout=5).text
        assert "marketplace_api_limiter_degraded 1.0" in page
        assert eventually(lambda: httpx.get(f"{api.admin_url}/readyz", timeout=5).status_code == 503)

    def is_shared_again() -> bool:
        # Requests find out: without any nobody asks Redis.
        api.ask("GET", f"{IDENTITY}/me")
        return "marketplace_api_limiter_degraded 0.0" in httpx.get(f"{api.admin_url}/metrics").text

    assert eventually(is_shared_again, 30)


def test_who_refreshes_again_after_redis_came_back_gets_the_successor_that_was_lost(
    registry: Registry, api: Api, parts: Parts
) -> None:
    ann = registry.person()
    with frozen(parts, "redis"):
        assert api.refresh(ann.refresh_token).status_code == 503
    again = api.refresh(ann.refresh_token)
    assert again.status_code == 200
    assert api.refresh(ann.refresh_token).json()["refresh_token"] == again.json()["refresh_token"]
    assert api.refresh(again.json()["refresh_token"]).status_code == 200


def test_a_refresh_without_mongo_replaces_no_token_so_that_its_time_does_not_begin(
    registry: Registry, api: Api, parts: Parts
) -> None:
    ann = registry.person()
    user, session, _ = ann.refresh_token.split(".")
    with frozen(parts, "mongo"):
        assert api.refresh(ann.refresh_token).status_code == 503
    with closing(redis.Redis.from_url(parts.stack.urls.redis)) as known:
        assert known.hget(f"session:{{{user}}}:{session}", "previous") is None
    assert api.refresh(ann.refresh_token).status_code == 200


def test_a_kill_of_the_process_between_twenty_refreshes_and_their_answers_leaves_one_successor(
    parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    known: redis.Redis = redis.Redis.from_url(parts.stack.urls.redis)
    with own_database(parts.stack) as database, closing(known):
        with running_api(parts.stack, folder, database, **parts.urls()) as first:
            ann = first.make_account()
            user, session, _ = ann.refresh_token.split(".")
            # Redis decides, and its answer is on the way.
            with slow(parts, "redis", 0.4), ThreadPoolExecutor(20) as pool:
                asked = [pool.submit(first.refresh, ann.refresh_token) for _ in range(20)]
                assert eventually(lambda: known.hget(f"session:{{{user}}}:{session}", "previous") is not None)
                kill(first)
                assert all(isinstance(each.exception(), httpx.TransportError) for each in asked)
            first.process.returncode = 0
        with running_api(parts.stack, folder, database, **parts.urls()) as second:
            answers = [second.refresh(ann.refresh_token) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert answers[0].json()["refresh_token"] == answers[1].json()["refresh_token"]
            assert second.refresh(answers[0].json()["refresh_token"]).status_code == 200
