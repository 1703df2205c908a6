"""Accounts and sign-ins on the real API, Mongo, Redis and mails."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import jwt
import pytest

from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, Person, any_address, kill, own_database, quiet_api, running_api

OTHER_PASSWORD = "another horse battery"


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with quiet_api(stack, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def ann(api: Api) -> Person:
    return api.make_account()


def test_somebody_registers_proves_the_address_signs_in_and_is_known(api: Api) -> None:
    ann = api.make_account("Ann@Shop.example", "Ann O'Neil")
    me = ann.ask("GET", "/v1/identity/me").json()
    assert (me["email"], me["name"], me["admin"], me["tier"]) == ("Ann@Shop.example", "Ann O'Neil", False, "free")
    assert api.sign_in("ann@shop.EXAMPLE").is_signed_in()


def test_before_the_address_is_proved_nobody_can_sign_in(api: Api) -> None:
    address = f"{uuid.uuid4().hex}@shop.example"
    body = {"email": address, "name": "Ann", "password": PASSWORD}
    assert api.post("/v1/identity/registrations", body).status_code == 202
    early = api.post("/v1/identity/sessions", {"email": address, "password": PASSWORD})
    assert early.status_code == 401
    token = api.link_to(address, "Confirm your address")
    assert api.post("/v1/identity/confirmations", {"token": token}).status_code == 201
    again = api.post("/v1/identity/confirmations", {"token": token})
    assert (again.status_code, again.json()["type"]) == (410, "/problems/gone")


def test_an_address_with_an_account_gets_the_same_answer_and_another_mail(api: Api, ann: Person) -> None:
    body = {"email": ann.email, "name": "Mallory", "password": OTHER_PASSWORD}
    known = api.post("/v1/identity/registrations", body)
    unknown = api.post("/v1/identity/registrations", {**body, "email": f"{uuid.uuid4().hex}@shop.example"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"{}")
    assert "#" not in api.mail_to(ann.email, "You have an account already")
    assert api.post("/v1/identity/sessions", {"email": ann.email, "password": OTHER_PASSWORD}).status_code == 401
    assert ann.is_signed_in()


def test_no_answer_and_no_time_tells_whether_an_address_has_an_account(api: Api) -> None:
    def timed(path: str, body: dict[str, str]) -> tuple[float, tuple[int, str]]:
        began = time.perf_counter()
        response = api.post(path, body)
        took = time.perf_counter() - began
        return took, (response.status_code, response.text.replace(response.headers["x-request-id"], ""))

    for path, more in (
        ("/v1/identity/sessions", {"password": "a wrong password"}),
        ("/v1/identity/password-resets", {}),
        ("/v1/identity/registrations", {"name": "Ann", "password": PASSWORD}),
    ):
        ann, nobody = api.make_account().email, f"{uuid.uuid4().hex}@shop.example"
        # In turn, so that a busy machine is as busy for both.
        pairs = [[timed(path, {"email": each, **more}) for each in (ann, nobody)] for _ in range(8)]
        assert len({answer for pair in pairs for _, answer in pair}) == 1
        # A lookup that ends early would be several times faster: hashing takes most of the time.
        known, unknown = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
        assert 1 / 3 < known / unknown < 3, path


def test_twenty_refreshes_at_one_time_have_one_successor(api: Api, ann: Person) -> None:
    barrier = threading.Barrier(20)

    def together(_: int) -> httpx.Response:
        barrier.wait(20)
        return api.refresh(ann.refresh_token)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(together, range(20)))
    assert {answer.status_code for answer in answers} == {200}
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1
    assert api.refresh(successors.pop()).status_code == 200


def test_two_processes_are_one_service(stack: Stack, api: Api, ann: Person, tmp_path: Path) -> None:
    elsewhere = api.sign_in(ann.email)
    own = {
        "MARKETPLACE_API_PUBLIC_URL": api.url,
        "MARKETPLACE_API_KEY_FILE": str(api.folder / "api" / "keys.json"),
    }
    with running_api(stack, tmp_path, api.environment["MARKETPLACE_DATABASE"], **own) as other:
        barrier = threading.Barrier(20)

        def together(number: int) -> httpx.Response:
            barrier.wait(20)
            return (api, other)[number % 2].refresh(ann.refresh_token)

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(together, range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1

        there = Person(other, elsewhere.email, elsewhere.access_token, elsewhere.refresh_token)
        assert there.is_signed_in()
        assert ann.ask("DELETE", "/v1/identity/sessions").status_code == 204
        assert there.is_out_within(1.0)


def test_a_reused_token_ends_its_session_for_good_and_no_other_one(api: Api, ann: Person) -> None:
    elsewhere = api.sign_in(ann.email)
    second = api.refresh(ann.refresh_token).json()["refresh_token"]
    third = api.refresh(second).json()["refresh_token"]
    assert api.refresh(ann.refresh_token).status_code == 401
    for token in (ann.refresh_token, second, third):
        assert api.refresh(token).status_code == 401
    assert ann.is_out_within(1.0)
    assert elsewhere.is_signed_in()
    assert api.refresh(elsewhere.refresh_token).status_code == 200


def test_who_signs_out_is_out_within_a_second_and_stays_in_elsewhere(api: Api, ann: Person) -> None:
    elsewhere = api.sign_in(ann.email)
    assert api.post("/v1/identity/sessions/end", {"refresh_token": ann.refresh_token}).status_code == 204
    assert ann.is_out_within(1.0)
    assert api.refresh(ann.refresh_token).status_code == 401
    assert elsewhere.is_signed_in()


def test_a_new_password_by_mail_ends_every_session_and_every_other_link(api: Api, ann: Person) -> None:
    elsewhere = api.sign_in(ann.email)
    subject = "Choose a new password"
    assert api.post("/v1/identity/password-resets", {"email": ann.email}).status_code == 202
    first = api.link_to(ann.email, subject)
    assert api.post("/v1/identity/password-resets", {"email": ann.email}).status_code == 202
    second = api.link_to(ann.email, subject)

    weak = api.post("/v1/identity/passwords", {"token": second, "password": "1234567890"})
    assert (weak.status_code, weak.json()["errors"][0]["code"]) == (422, "repetitive")
    with ThreadPoolExecutor(10) as pool:
        passwords = [f"horse number {number} battery" for number in range(10)]
        answers = list(
            pool.map(lambda each: api.post("/v1/identity/passwords", {"token": second, "password": each}), passwords)
        )
    assert sorted(answer.status_code for answer in answers) == [204] + [410] * 9
    winner = passwords[[answer.status_code for answer in answers].index(204)]
    assert api.post("/v1/identity/passwords", {"token": first, "password": OTHER_PASSWORD}).status_code == 410
    assert ann.is_out_within(1.0)
    assert elsewhere.is_out_within(1.0)
    assert api.refresh(elsewhere.refresh_token).status_code == 401
    assert api.post("/v1/identity/sessions", {"email": ann.email, "password": PASSWORD}).status_code == 401
    assert api.sign_in(ann.email, winner).is_signed_in()


def test_whoever_closes_the_connection_right_after_the_request_gets_the_mail_once(api: Api) -> None:
    where = urlsplit(api.url)
    addresses = [f"{uuid.uuid4().hex}@shop.example" for _ in range(20)]
    for address in addresses:
        body = json.dumps({"email": address, "name": "Ann", "password": PASSWORD}).encode()
        head = (
            f"POST /v1/identity/registrations HTTP/1.1\r\nHost: {where.netloc}\r\nX-Forwarded-For: {any_address()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
            connection.sendall(head.encode() + body)
    for address in addresses:
        assert api.link_to(address, "Confirm your address")
    sent = [file.read_bytes() for file in (api.folder / "mails").glob("*.eml")]
    assert [sum(address.encode() in each for each in sent) for address in addresses] == [1] * 20


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/jwks.json", "/openapi.json", "/docs", "/problems/invalid", "/v1/identity/me", "/nothing",
        "/v1/identity/passwords", "/v1/stores/nowhere/analytics/totals",
    ],
)  # fmt: skip
def test_a_request_for_the_head_alone_gets_it_and_its_connection_goes_on(api: Api, path: str) -> None:
    where = urlsplit(api.url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        answers, file = [], connection.makefile("rb")
        for method in ("HEAD", "GET", "HEAD", "GET"):
            head = f"{method} {path} HTTP/1.1\r\nHost: {where.netloc}\r\nX-Forwarded-For: {any_address()}\r\n\r\n"
            connection.sendall(head.encode())
            status, headers = file.readline(), {}
            while line := file.readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            length = int(headers["content-length"])
            body = file.read(length) if method == "GET" else b""
            assert len(body) == (length if method == "GET" else 0)
            answers.append((status, length, headers.get("etag")))
        assert len(set(answers)) == 1, answers
    assert "failed" not in (api.folder / "api.log").read_text()


def test_a_token_of_one_kind_is_none_of_another(api: Api, ann: Person) -> None:
    api.post("/v1/identity/password-resets", {"email": ann.email})
    link = api.link_to(ann.email, "Choose a new password")
    for token in (ann.refresh_token, link, ann.access_token + "x"):
        assert api.ask("GET", "/v1/identity/me", headers={"authorization": f"Bearer {token}"}).status_code == 401
    for token in (ann.access_token, link):
        assert api.refresh(token).status_code in (401, 422)
    for path in ("/v1/identity/confirmations", "/v1/identity/passwords"):
        for token in (ann.access_token, ann.refresh_token):
            body = {"token": token} | ({"password": OTHER_PASSWORD} if path.endswith("passwords") else {})
            assert api.post(path, body).status_code in (410, 422)


def test_a_kill_in_the_middle_of_refreshes_loses_no_session(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    with own_database(stack) as database:
        with running_api(stack, folder, database) as first:
            ann = first.make_account()
            tokens = [ann.refresh_token]
            with ThreadPoolExecutor(4) as pool:
                busy = [pool.submit(lambda: first.refresh(tokens[-1])) for _ in range(20)]
                kill(first)
                answered = [each.result() for each in busy if each.exception() is None]
            assert all(answer.status_code == 200 for answer in answered)
            first.process.returncode = 0
        with running_api(stack, folder, database) as second:
            again = second.refresh(tokens[-1])
            assert again.status_code == 200
            assert {answer.json()["refresh_token"] for answer in answered} <= {again.json()["refresh_token"]}
            assert second.ask("GET", "/v1/identity/me", headers={"authorization": f"Bearer {ann.access_token}"})
            header = jwt.get_unverified_header(again.json()["access_token"])
            assert header["kid"] == jwt.get_unverified_header(ann.access_token)["kid"]


def test_guesses_at_one_account_are_stopped_wherever_they_come_from_and_others_go_on(api: Api, ann: Person) -> None:
    body = {"email": ann.email, "password": "a wrong password"}
    answers = [api.post("/v1/identity/sessions", body) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {401, 429}
    last = answers[-1]
    assert (last.status_code, last.json()["type"]) == (429, "/problems/too-many-requests")
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert ann.is_signed_in()
    assert api.make_account().is_signed_in()


def test_one_address_is_limited_whatever_it_asks_and_its_answers_say_so(api: Api) -> None:
    own = {"x-forwarded-for": "203.0.113.77"}
    first = api.ask("GET", "/v1/identity/me", headers=own)
    assert first.headers["ratelimit"].startswith('"default";r=')
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.ask("GET", "/v1/identity/me", headers=own).status_code, range(150)))
    assert set(answers) == {401, 429}
    forged = {"x-forwarded-for": "192.0.2.1, 203.0.113.77"}
    assert api.ask("GET", "/v1/identity/me", headers=forged).status_code == 429
