"""What ends what: own sessions, changes of password and address, deletion, on the real API, Mongo, Redis and mails."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, Person, quiet_api
from tests.kits.api_people import Registry
from tests.kits.stack import eventually

OTHER_PASSWORD = "another horse battery"
RESET, NEW_ADDRESS = "Choose a new password", "Confirm your new address"


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with quiet_api(stack, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def registry(stack: Stack, api: Api) -> Registry:
    return Registry(api, stack, api.environment["MARKETPLACE_DATABASE"])


@pytest.fixture
def ann(registry: Registry) -> Person:
    return registry.person()


def new_address() -> str:
    return f"{uuid.uuid4().hex}@shop.example"


def reset_link(api: Api, address: str) -> str:
    assert api.post("/v1/identity/password-resets", {"email": address}).status_code == 202
    return api.link_to(address, RESET)


def change_link(person: Person, address: str) -> str:
    body = {"email": address, "password": PASSWORD}
    assert person.post("/v1/identity/email-changes", body).status_code == 202
    return person.api.link_to(address, NEW_ADDRESS)


def use_reset(api: Api, link: str, password: str = OTHER_PASSWORD) -> int:
    return api.post("/v1/identity/passwords", {"token": link, "password": password}).status_code


def use_change(api: Api, link: str) -> int:
    return api.post("/v1/identity/emails", {"token": link}).status_code


@dataclass
class World:
    """Ann's credentials, from before an event.

    Attributes:
        here: The session in which the event happens.
        elsewhere: Another one.
        reset: A link to choose a new password that is not used in the event.
        change: A link to change the address that is not used in the event.
    """

    here: Person
    elsewhere: Person
    reset: str
    change: str


def make_world(registry: Registry) -> World:
    here, elsewhere = registry.sign_in(registry.account(), 2)
    return World(here, elsewhere, reset_link(registry.api, here.email), change_link(here, new_address()))


def delete(world: World) -> httpx.Response:
    return world.here.post("/v1/identity/deletions", {"password": PASSWORD})


def ban(world: World) -> None:
    world.here.api.command("accounts", "ban", world.here.email)


def change_password(world: World) -> httpx.Response:
    body = {"current_password": PASSWORD, "password": OTHER_PASSWORD}
    return world.here.post("/v1/identity/password-changes", body)


EVENTS: dict[str, Callable[[World], object]] = {
    "password reset": lambda world: use_reset(world.here.api, reset_link(world.here.api, world.here.email)),
    "password change": change_password,
    "e-mail change": lambda world: use_change(world.here.api, change_link(world.here, new_address())),
    "sign out everywhere": lambda world: world.here.ask("DELETE", "/v1/identity/sessions"),
    "ban": ban,
    "deletion": delete,
}
CREDENTIALS: dict[str, Callable[[World], bool]] = {
    "own access token": lambda world: not world.here.is_out_within(1.0),
    "own refresh token": lambda world: world.here.api.refresh(world.here.refresh_token).status_code == 200,
    "other access token": lambda world: not world.elsewhere.is_out_within(1.0),
    "other refresh token": lambda world: world.here.api.refresh(world.elsewhere.refresh_token).status_code == 200,
    "older reset link": lambda world: use_reset(world.here.api, world.reset, "a third horse battery") == 204,
    "older e-mail link": lambda world: use_change(world.here.api, world.change) == 204,
}
STAYS = {("password change", "own access token"), ("password change", "own refresh token")}
"""Everything else ends with every event."""


@pytest.mark.parametrize("event", EVENTS)
def test_what_each_credential_is_worth_after_an_event(registry: Registry, event: str) -> None:
    world = make_world(registry)
    assert world.here.is_signed_in()
    assert world.elsewhere.is_signed_in()
    EVENTS[event](world)
    worth = {name for name, is_worth in CREDENTIALS.items() if is_worth(world)}
    assert worth == {credential for each, credential in STAYS if each == event}


def test_each_credential_is_worth_something_where_no_event_was(registry: Registry) -> None:
    # To use a link is an event, and one account may not ask for two seconds whether it is signed in still.
    alone = ("other access token", "older e-mail link")
    for names in ([name for name in CREDENTIALS if name not in alone], alone):
        world = make_world(registry)
        assert [name for name in names if not CREDENTIALS[name](world)] == []


def test_who_was_shut_out_signs_in_again_only_after_the_ban_is_lifted_and_old_sessions_stay_ended(
    api: Api, ann: Person
) -> None:
    api.command("accounts", "ban", ann.email)
    body = {"email": ann.email, "password": PASSWORD}
    wrong = {"email": ann.email, "password": "a wrong password"}
    refused, unknown = (api.post("/v1/identity/sessions", each) for each in (body, wrong))
    assert refused.status_code == unknown.status_code == 401
    assert refused.json()["detail"] == unknown.json()["detail"]
    api.command("accounts", "ban", ann.email, "--lift")
    assert not ann.is_signed_in()
    assert api.refresh(ann.refresh_token).status_code == 401
    back = api.sign_in(ann.email)
    assert back.is_signed_in()
    assert "is not shut out; nothing was changed." in api.command("accounts", "ban", ann.email, "--lift")
    assert back.is_signed_in()


def test_the_owner_sees_the_own_sessions_and_ends_one_of_them(api: Api, registry: Registry) -> None:
    ann, bob = api.make_account(), registry.person()
    elsewhere = api.sign_in(ann.email)
    listed = ann.ask("GET", "/v1/identity/sessions").json()["sessions"]
    assert [each["current"] for each in listed] == [False, True]
    assert all(each["network"].endswith(".0/24") for each in listed)
    assert all(each["client"].startswith("python-httpx") for each in listed)
    other = listed[0]["id"]
    assert bob.ask("DELETE", f"/v1/identity/sessions/{other}").status_code == 404
    assert elsewhere.is_signed_in()
    assert ann.ask("DELETE", f"/v1/identity/sessions/{other}").status_code == 204
    assert elsewhere.is_out_within(1.0)
    assert api.refresh(elsewhere.refresh_token).status_code == 401
    assert ann.ask("DELETE", f"/v1/identity/sessions/{other}").status_code == 404
    assert ann.ask("DELETE", "/v1/identity/sessions/x:*").status_code == 422
    assert [each["current"] for each in ann.ask("GET", "/v1/identity/sessions").json()["sessions"]] == [True]


def test_a_password_is_changed_only_by_who_knows_it_and_its_owner_gets_a_mail(api: Api, ann: Person) -> None:
    path = "/v1/identity/password-changes"
    wrong = ann.post(path, {"current_password": "a wrong password", "password": OTHER_PASSWORD})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "wrong_password")
    weak = ann.post(path, {"current_password": PASSWORD, "password": "1234567890"})
    assert (weak.status_code, weak.json()["errors"][0]["path"]) == (422, "/password")
    assert ann.post(path, {"current_password": PASSWORD, "password": OTHER_PASSWORD}).status_code == 204
    assert api.mail_to(ann.email, "Your password was changed")
    assert api.post("/v1/identity/sessions", {"email": ann.email, "password": PASSWORD}).status_code == 401
    assert api.sign_in(ann.email, OTHER_PASSWORD).is_signed_in()
    assert ann.is_signed_in()
    listed = ann.ask("GET", "/v1/identity/sessions").json()["sessions"]
    assert len(listed) == 2


def test_a_password_that_others_know_of_is_refused_by_a_link_too_and_the_link_can_be_used_still(
    api: Api, ann: Person
) -> None:
    link = reset_link(api, ann.email)
    own = f"{ann.email.partition('@')[0]} is me"
    refused = api.post("/v1/identity/passwords", {"token": link, "password": own})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "personal")
    assert use_reset(api, link) == 204


def test_guesses_at_the_password_by_a_stolen_session_are_stopped(api: Api, ann: Person) -> None:
    body = {"current_password": "a wrong password", "password": OTHER_PASSWORD}
    answers = [ann.post("/v1/identity/password-changes", body).status_code for _ in range(12)]
    answers += [ann.post("/v1/identity/deletions", {"password": "a wrong password"}).status_code for _ in range(2)]
    assert set(answers[:8]) == {422}
    assert set(answers[-2:]) == {429}
    assert ann.is_signed_in()


def test_an_address_is_changed_by_the_mail_to_it_and_the_former_one_is_informed_and_free(api: Api, ann: Person) -> None:
    new = new_address()
    wrong = ann.post("/v1/identity/email-changes", {"email": new, "password": "a wrong password"})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "wrong_password")
    link = change_link(ann, new)
    assert api.mail_to(ann.email, "Your account is to get another address")
    assert ann.ask("GET", "/v1/identity/me").json()["email"] == ann.email
    user = ann.ask("GET", "/v1/identity/me").json()["id"]
    assert use_change(api, link) == 204
    assert use_change(api, link) == 410
    assert new not in api.mail_to(ann.email, "Your account has another address")
    assert api.post("/v1/identity/sessions", {"email": ann.email, "password": PASSWORD}).status_code == 401
    assert api.sign_in(new).ask("GET", "/v1/identity/me").json()["id"] == user
    assert api.make_account(ann.email).ask("GET", "/v1/identity/me").json()["id"] != user


def test_no_answer_says_whether_a_new_address_has_an_account(api: Api, registry: Registry, ann: Person) -> None:
    bob = registry.person()
    answers = [
        ann.post("/v1/identity/email-changes", {"email": each, "password": PASSWORD})
        for each in (bob.email, new_address())
    ]
    assert [(each.status_code, each.content) for each in answers] == [(202, b"{}")] * 2
    assert "#" not in api.mail_to(bob.email, "This address has an account already")
    assert bob.is_signed_in()


def test_an_address_that_was_taken_before_the_link_was_followed_stays_with_who_has_it(api: Api, ann: Person) -> None:
    new = new_address()
    link = change_link(ann, new)
    bob = api.make_account(new)
    assert use_change(api, link) == 410
    assert ann.is_signed_in()
    assert bob.is_signed_in()
    assert api.sign_in(new).ask("GET", "/v1/identity/me").json() == bob.ask("GET", "/v1/identity/me").json()


def test_a_deleted_account_is_gone_and_its_address_is_free(api: Api, ann: Person) -> None:
    user = ann.ask("GET", "/v1/identity/me").json()["id"]
    wrong = ann.post("/v1/identity/deletions", {"password": "a wrong password"})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "wrong_password")
    assert ann.post("/v1/identity/deletions", {"password": PASSWORD}).status_code == 204
    assert api.mail_to(ann.email, "Your account is deleted")
    assert api.post("/v1/identity/sessions", {"email": ann.email, "password": PASSWORD}).status_code == 401
    again = api.make_account(ann.email)
    assert again.ask("GET", "/v1/identity/me").json()["id"] != user
    assert not ann.is_signed_in()


def test_looking_at_a_link_changes_nothing(api: Api, registry: Registry) -> None:
    ann, bob = registry.person(), registry.person()
    links = {"passwords": reset_link(api, ann.email), "emails": change_link(bob, new_address())}
    for name, link in links.items():
        for method in ("GET", "HEAD", "OPTIONS"):
            for query in (f"?token={link}", ""):
                assert api.ask(method, f"/v1/identity/{name}{query}").status_code == 405
    assert use_reset(api, links["passwords"]) == 204
    assert use_change(api, links["emails"]) == 204


@pytest.mark.parametrize("kind", ["reset", "e-mail change", "registration"])
def test_of_ten_uses_of_one_link_at_one_time_one_succeeds(api: Api, registry: Registry, kind: str) -> None:
    if kind == "registration":
        address = new_address()
        body = {"email": address, "name": "Ann", "password": PASSWORD}
        assert api.post("/v1/identity/registrations", body).status_code == 202
        link, path, good = api.link_to(address, "Confirm your address"), "confirmations", 201
    else:
        ann = registry.person()
        if kind == "reset":
            link, path, good = reset_link(api, ann.email), "passwords", 204
        else:
            link, path, good = change_link(ann, new_address()), "emails", 204

    def use(number: int) -> int:
        body = {"token": link} | ({"password": f"horse number {number} battery"} if kind == "reset" else {})
        return api.post(f"/v1/identity/{path}", body).status_code

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(use, range(10))) == [good] + [410] * 9


def test_the_first_admin_is_made_by_a_command_and_unmade_by_it_within_a_second(api: Api, ann: Person) -> None:
    def is_admin() -> bool:
        return bool(ann.ask("GET", "/v1/identity/me").json()["admin"])

    assert not is_admin()
    slug = f"left-{uuid.uuid4().hex[:8]}"
    assert "Nobody owns it" in api.command("stores", "create", slug)
    said = api.command("accounts", "admin", ann.email.upper())
    assert "is an admin of the platform." in said
    hidden = re.findall(r"Nobody owns (.+), so nobody sees them on the dashboard", said)
    assert slug in hidden[0].split(", ")
    api.command("stores", "owner", slug, ann.email)
    assert slug not in api.command("accounts", "admin", ann.email)
    assert eventually(is_admin, 1)
    assert "is an admin of the platform already." in api.command("accounts", "admin", ann.email)
    assert '"admin": false' in api.command("accounts", "admin", ann.email, "--revoke", "--json")
    assert "is no admin of the platform." in api.command("accounts", "admin", ann.email, "--revoke")
    assert eventually(lambda: not is_admin(), 1)
