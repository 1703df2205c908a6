"""Every route of identity while Mongo or Redis is frozen, killed, cut off or slow, and right after it came back.

An answer is what the route always answers, or a 503 that says when to repeat the request. Both come within
a bound, whatever the part does.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis

from api.app import build_app
from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, Person, kill, own_database, running_api
from tests.kits.stack import eventually
from tests.kits.tcp_proxy import TcpProxy

BOUND_SECONDS = 5.0
"""Where a part does not answer; a route asks each at most once then."""
SLOW_BOUND_SECONDS = 11.0
"""Where each answer of a part comes just in time: eight seconds, two more for what is under way, and the machine's."""

IDENTITY = "/v1/identity"
UNKNOWN_LINK = "an-unknown-link-of-some-length"


@dataclass
class Parts:
    """Mongo and Redis of their own, and proxies in front of them."""

    stack: Stack
    proxies: dict[str, TcpProxy]

    def urls(self) -> dict[str, str]:
        return {f"MARKETPLACE_{name.upper()}_URL": proxy.url for name, proxy in self.proxies.items()}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("parts")
    with Stack(folder, ports="auto", parts={"mongo", "redis"}, external={}) as stack, ExitStack() as proxies:
        made = {"mongo": TcpProxy(stack.urls.mongo), "redis": TcpProxy(stack.urls.redis)}
        for proxy in made.values():
            proxy.open()
            proxies.callback(proxy.close)
        yield Parts(stack, made)


@pytest.fixture(scope="module")
def api(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    with own_database(parts.stack) as database, running_api(parts.stack, folder, database, **parts.urls()) as running:
        yield running
    assert "Traceback" not in (folder / "api.log").read_text()


@contextmanager
def frozen(parts: Parts, name: str) -> Iterator[None]:
    pid = parts.stack.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(parts: Parts, name: str) -> Iterator[None]:
    parts.stack.kill(name)
    yield
    parts.stack.wait_healthy(name)


@contextmanager
def cut_off(parts: Parts, name: str) -> Iterator[None]:
    parts.proxies[name].cut()
    try:
        yield
    finally:
        parts.proxies[name].open()


@contextmanager
def slow(parts: Parts, name: str) -> Iterator[None]:
    parts.proxies[name].delay_seconds = 3.0
    try:
        yield
    finally:
        parts.proxies[name].delay_seconds = 0.0


FAULTS = {"frozen": frozen, "killed": killed, "cut off": cut_off, "slow": slow}


@dataclass
class People:
    """Sessions of one account; a request that ends one has one of its own."""

    ann: Person
    refreshing: Person
    leaving: Person
    ending: str

    @staticmethod
    def make(api: Api) -> People:
        ann = api.make_account()
        refreshing, leaving, _ = (api.sign_in(ann.email) for _ in range(3))
        listed = ann.ask("GET", f"{IDENTITY}/sessions").json()["sessions"]
        return People(ann, refreshing, leaving, listed[0]["id"])


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


@dataclass
class Answered:
    """An answer and its time."""

    route: str
    response: httpx.Response
    seconds: float
    usual: int

    def assert_sound(self, bound_seconds: float = BOUND_SECONDS) -> None:
        assert self.seconds < bound_seconds, self.route
        if self.response.status_code != self.usual:
            assert self.response.status_code == 503, (self.route, self.response.status_code, self.response.text)
            assert self.response.json()["type"] == "/problems/unavailable"
            assert self.response.headers["content-type"] == "application/problem+json"
            assert int(self.response.headers["retry-after"]) >= 1


def ask_all(api: Api, people: People) -> dict[str, Answered]:
    def ask(route: tuple[str, str], request: Request, usual: int) -> Answered:
        began = time.monotonic()
        response = request(api, people)
        return Answered(" ".join(route), response, time.monotonic() - began, usual)

    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        asked = [pool.submit(ask, route, *request) for route, request in REQUESTS.items()]
        answers = [each.result() for each in asked]
    answers.append(ask(LAST, ask_as_ann("DELETE", "sessions"), 204))
    return {each.route: each for each in answers}


def test_the_table_has_every_route_of_identity() -> None:
    rules = build_app(lambda: pytest.fail("nothing starts")).app.state.rules  # type: ignore[attr-defined]
    identity = {route for route in rules if route[1].startswith((IDENTITY, "/.well-known"))}
    assert identity == {*REQUESTS, LAST}


@pytest.mark.parametrize("part", ["mongo", "redis"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_route_answers_as_always_or_says_when_to_repeat_and_works_right_afterwards(
    api: Api, parts: Parts, fault: str, part: str
) -> None:
    people = People.make(api)
    with FAULTS[fault](parts, part):
        during = ask_all(api, people)
    for answer in during.values():
        answer.assert_sound()
    if fault != "killed":
        # Of one that is killed, another process is there within a moment.
        works = {route for route, answer in during.items() if answer.response.status_code == answer.usual}
        assert works == WORKS_WITHOUT[part]

    again = ask_all(api, People.make(api))
    assert {route: each.response.status_code for route, each in again.items()} == {
        route: each.usual for route, each in again.items()
    }


@pytest.mark.parametrize("part", ["mongo", "redis"])
def test_where_every_answer_of_a_part_comes_just_in_time_a_request_has_a_bound_all_the_same(
    api: Api, parts: Parts, part: str
) -> None:
    people = People.make(api)
    parts.proxies[part].delay_seconds = 0.4
    try:
        during = ask_all(api, people)
    finally:
        parts.proxies[part].delay_seconds = 0.0
    for answer in during.values():
        answer.assert_sound(SLOW_BOUND_SECONDS)
    assert People.make(api).ann.is_signed_in()


def test_where_more_requests_wait_than_there_are_connections_some_are_to_be_repeated_and_none_is_an_error(
    api: Api, parts: Parts
) -> None:
    people = [api.make_account() for _ in range(4)]
    parts.proxies["mongo"].delay_seconds = 0.4
    try:
        with ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(lambda number: people[number % 4].ask("GET", f"{IDENTITY}/me"), range(100)))
    finally:
        parts.proxies["mongo"].delay_seconds = 0.0
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 503)
    assert people[0].is_signed_in()


def test_guesses_are_limited_without_redis_too_and_the_service_says_that_it_limits_by_itself(
    api: Api, parts: Parts
) -> None:
    ann = api.make_account()
    with cut_off(parts, "redis"):
        answers = [
            api.post(f"{IDENTITY}/sessions", {"email": ann.email, "password": WRONG}).status_code for _ in range(100)
        ]
        assert set(answers) == {401, 429}
        assert answers.count(401) <= 6
        page = httpx.get(f"{api.admin_url}/metrics", timeout=BOUND_SECONDS).text
        assert "marketplace_api_limiter_degraded 1.0" in page
        assert eventually(lambda: httpx.get(f"{api.admin_url}/readyz", timeout=BOUND_SECONDS).status_code == 503)

    def is_shared_again() -> bool:
        # Requests find out: without any nobody asks Redis.
        api.ask("GET", f"{IDENTITY}/me")
        return "marketplace_api_limiter_degraded 0.0" in httpx.get(f"{api.admin_url}/metrics").text

    assert eventually(is_shared_again, 30)


def test_who_refreshes_again_after_redis_came_back_gets_the_successor_that_was_lost(api: Api, parts: Parts) -> None:
    ann = api.make_account()
    with frozen(parts, "redis"):
        assert api.refresh(ann.refresh_token).status_code == 503
    again = api.refresh(ann.refresh_token)
    assert again.status_code == 200
    assert api.refresh(ann.refresh_token).json()["refresh_token"] == again.json()["refresh_token"]
    assert api.refresh(again.json()["refresh_token"]).status_code == 200


def test_a_kill_of_the_process_between_twenty_refreshes_and_their_answers_leaves_one_successor(
    parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    known: redis.Redis = redis.Redis.from_url(parts.stack.urls.redis)
    with own_database(parts.stack) as database, closing(known):
        with running_api(parts.stack, folder, database, **parts.urls()) as first:
            ann = first.make_account()
            user, session, _ = ann.refresh_token.split(".")
            # Redis decides before Mongo is asked for the account, whose answer does not come.
            parts.proxies["mongo"].freeze()
            with ThreadPoolExecutor(20) as pool:
                asked = [pool.submit(first.refresh, ann.refresh_token) for _ in range(20)]
                assert eventually(lambda: known.hget(f"session:{{{user}}}:{session}", "previous") is not None)
                kill(first)
                assert all(isinstance(each.exception(), httpx.TransportError) for each in asked)
            parts.proxies["mongo"].thaw()
            first.process.returncode = 0
        with running_api(parts.stack, folder, database, **parts.urls()) as second:
            answers = [second.refresh(ann.refresh_token) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert answers[0].json()["refresh_token"] == answers[1].json()["refresh_token"]
            assert second.refresh(answers[0].json()["refresh_token"]).status_code == 200
