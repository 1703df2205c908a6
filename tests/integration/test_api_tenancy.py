"""Stores, members and API keys on two processes of the API: what one changes holds in the other one.

At once for whatever changes something, and half a second later for who only reads.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from connectors.mongo.accounts import Accounts
from connectors.mongo.client import connect
from connectors.mongo.store_directory import find_by_write_key
from connectors.mongo.stores import MongoStores
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.roles import Permission
from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, Person, bearer, own_database, running_api
from tests.kits.api_people import Registry, session_of, user_of
from tests.kits.stack import eventually
from tests.kits.tenancy import World


@dataclass
class Pair:
    """Two processes on one database, the database, and who is in it."""

    first: Api
    second: Api
    mongo: Any
    registry: Registry


@pytest.fixture(scope="module")
def pair(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("api")
    client = connect(stack.urls.mongo)
    with own_database(stack) as database, running_api(stack, folder, database) as first:
        own_logs = folder / "second"
        own_logs.mkdir()
        # Either process sends a mail: both write into one folder.
        (folder / "mails").mkdir(exist_ok=True)
        (own_logs / "mails").symlink_to(folder / "mails")
        key_file, issuer = str(folder / "api" / "keys.json"), {"MARKETPLACE_API_PUBLIC_URL": first.url}
        with running_api(stack, own_logs, database, MARKETPLACE_API_KEY_FILE=key_file, **issuer) as second:
            yield Pair(first, second, client[database], Registry(first, stack, database))
    client.close()
    for log in (folder / "api.log", own_logs / "api.log"):
        text = log.read_text()
        assert "Traceback" not in text
        assert PASSWORD not in text
        assert "mk_" not in text


def at(person: Person, api: Api) -> Person:
    """The same sign-in at another process."""
    return replace(person, api=api)


def account(pair: Pair, **fields: Any) -> Person:
    """Somebody who is signed in, with these fields in the account's document."""
    person = pair.first.make_account()
    if fields:
        pair.mongo["users"].update_one({"email": person.email}, {"$set": fields})
    return person


def new_store(owner: Person) -> str:
    slug = f"shop-{uuid.uuid4().hex[:8]}"
    made = owner.ask("POST", "/v1/stores", json={"title": "Shop", "slug": slug})
    assert made.status_code == 201, made.text
    return slug


def id_of(person: Person) -> str:
    return str(person.ask("GET", "/v1/identity/me").json()["id"])


def invite(pair: Pair, owner: Person, slug: str, address: str, role: str) -> str:
    """Invite an address; gives the secret of the link in the mail."""
    sent = owner.ask("POST", f"/v1/stores/{slug}/invitations", json={"email": address, "role": role})
    assert sent.status_code == 201, sent.text
    return pair.first.link_to(address, "You are invited to a store")


def test_somebody_makes_a_store_invites_others_and_all_work_in_it_until_they_lose_the_role(
    pair: Pair, stack: Stack
) -> None:
    ann, bob = account(pair), account(pair)
    slug = new_store(ann)
    token = invite(pair, ann, slug, bob.email, "manager")
    assert bob.ask("GET", f"/v1/stores/{slug}").status_code == 404
    joined = at(bob, pair.second).ask("POST", "/v1/invitations/acceptances", json={"token": token})
    assert (joined.status_code, joined.json()) == (201, {"store": slug, "role": "manager"})

    body = {"name": "Warehouse", "scopes": ["store:read", "store:edit"]}
    key = bob.ask("POST", f"/v1/stores/{slug}/api-keys", json=body).json()["key"]
    elsewhere = at(bob, pair.second)
    for number in range(5):
        role, status = (("analyst", 403), ("manager", 201))[number % 2]
        changed = ann.ask("PATCH", f"/v1/stores/{slug}/members/{id_of(bob)}", json={"role": role})
        assert changed.status_code == 200
        assert elsewhere.ask("POST", f"/v1/stores/{slug}/write-key").status_code == status
        for api in (pair.first, pair.second):
            edited = edit(pair, api, slug, key, {"title": f"Title {number}"})
            assert edited.status_code == (200 if role == "manager" else 403)
    assert ann.ask("DELETE", f"/v1/stores/{slug}/members/{id_of(bob)}").status_code == 204
    assert elsewhere.ask("POST", f"/v1/stores/{slug}/write-key").status_code == 404
    assert eventually(lambda: elsewhere.ask("GET", f"/v1/stores/{slug}").status_code == 404, 1)
    assert eventually(lambda: pair.second.ask("GET", f"/v1/stores/{slug}", headers=bearer(key)).status_code == 401, 1)

    write_key = ann.ask("POST", f"/v1/stores/{slug}/write-key").json()["write_key"]
    client = connect(stack.urls.mongo)
    found = find_by_write_key(MongoStores(client, pair.mongo.name), write_key)
    client.close()
    assert found is not None
    assert found.slug == slug


def edit(pair: Pair, api: Api, slug: str, key: str, body: dict[str, Any]) -> httpx.Response:
    # A process that only reads may know the version before.
    etag = f'"{pair.mongo["stores"].find_one({"_id": slug})["version"]}"'
    return api.ask("PATCH", f"/v1/stores/{slug}", json=body, headers={**bearer(key), "if-match": etag})


def test_two_owners_who_leave_at_two_processes_at_one_time_leave_one(pair: Pair) -> None:
    premium = [{"tier": "premium", "since": 0, "until": None}]
    ann, bob = account(pair, grants=premium), account(pair, grants=premium)
    for _ in range(5):
        slug = new_store(ann)
        pair.mongo["memberships"].insert_one(
            {**pair.mongo["memberships"].find_one({"store": slug}), "_id": f"{slug}:{id_of(bob)}", "user": id_of(bob)}
        )
        barrier = threading.Barrier(2)

        def leave(person: Person, slug: str = slug, barrier: threading.Barrier = barrier) -> int:
            barrier.wait(20)
            return person.ask("DELETE", f"/v1/stores/{slug}/membership").status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(leave, (ann, at(bob, pair.second)))) == [204, 409]
        assert pair.mongo["memberships"].count_documents({"store": slug, "role": "owner"}) == 1


def test_one_link_at_two_processes_at_one_time_makes_one_membership(pair: Pair) -> None:
    ann, bob = account(pair), account(pair)
    slug = new_store(ann)
    token = invite(pair, ann, slug, bob.email, "analyst")
    # As many as a free account may send at once, whatever else it has asked.
    barrier = threading.Barrier(6)

    def accept(number: int) -> int:
        barrier.wait(20)
        person = at(bob, (pair.first, pair.second)[number % 2])
        return person.ask("POST", "/v1/invitations/acceptances", json={"token": token}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(accept, range(6))) == [201] + [410] * 5
    assert pair.mongo["memberships"].count_documents({"store": slug, "user": id_of(bob)}) == 1


def test_an_admin_gives_a_plan_and_ends_it_and_both_hold_at_once_for_what_changes_something(pair: Pair) -> None:
    root, ann = account(pair, admin=True), account(pair)
    first = new_store(ann)
    path = f"/v1/admin/accounts/{id_of(ann)}/grants"
    assert ann.ask("POST", path, json={"tier": "premium"}).status_code == 403
    assert ann.ask("POST", "/v1/stores", json={"title": "Second"}).status_code == 403
    assert root.ask("POST", path, json={"tier": "premium"}).status_code == 201
    second = new_store(at(ann, pair.second))
    assert root.ask("DELETE", f"{path}/premium").status_code == 200
    elsewhere = at(ann, pair.second)
    for slug, status in ((second, 403), (first, 201)):
        assert elsewhere.ask("POST", f"/v1/stores/{slug}/import-key").status_code == status
    for slug, frozen in ((first, False), (second, True)):
        assert eventually(lambda: elsewhere.ask("GET", f"/v1/stores/{slug}").json()["frozen"] is frozen, 1)  # noqa: B023  # it is called before the next one


@dataclass
class Scene:
    """A store, who works in it, and what the other process knows of them."""

    pair: Pair
    slug: str
    boss: Person
    member: Person
    other_session: Person
    root: Person
    key: str
    key_id: str

    @staticmethod
    def set(pair: Pair) -> Scene:
        registry = pair.registry
        boss, root = registry.person(premium=True), registry.person(premium=True, admin=True)
        member, other_session = registry.sign_in(registry.account(premium=True), 2)
        slug, key_id = f"shop-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex[:16]

        async def work(world: World) -> str:
            await world.store(slug, {user_of(boss): "owner", user_of(member): "manager"})
            return await world.key(slug, user_of(member), Permission.READ_STORE, Permission.EDIT_STORE, key_id=key_id)

        return Scene(pair, slug, boss, member, other_session, root, registry.do(work), key_id)

    def do(self, work: Callable[[Accounts], Any]) -> None:
        """Change an account as a command does, which is a process of its own."""
        self.pair.registry.do(lambda world: work(world.tenancy.accounts))


By = Callable[[Scene], httpx.Response]
Event = Callable[[Scene], object]


def asks(method: str, path: str, who: str = "member", body: Any = None, **headers: str) -> By:
    """A request to the second process."""

    def ask(scene: Scene) -> httpx.Response:
        person = at(getattr(scene, who), scene.pair.second) if who != "key" else None
        token = bearer(scene.key if person is None else person.access_token)
        options = {} if body is None else {"json": body}
        where = path.format(slug=scene.slug, boss=user_of(scene.boss), session="0" * 32)
        return scene.pair.second.ask(method, where, headers={**token, **headers}, **options)

    return ask


def boss_asks(method: str, path: str, body: Any = None, who: str = "boss") -> Event:
    """A change by the first process."""

    def ask(scene: Scene) -> None:
        person: Person = getattr(scene, who)
        where = path.format(
            slug=scene.slug, member=user_of(scene.member), boss=user_of(scene.boss), key=scene.key_id,
            session=session_of(scene.member), root=user_of(scene.root),
        )  # fmt: skip
        done = person.ask(method, where, **({} if body is None else {"json": body}))
        assert done.status_code in (200, 204), done.text

    return ask


STORE, MEMBER = "/v1/stores/{slug}", "/v1/stores/{slug}/members/{member}"
READS_STORE, KEY_READS = asks("GET", STORE), asks("GET", STORE, "key")
EDITS = asks("PATCH", STORE, body={"title": "Changed"}, **{"if-match": '"1"'})
KEY_EDITS = asks("PATCH", STORE, "key", {"title": "Changed"}, **{"if-match": '"1"'})
READS_KEYS, MAKES_KEY = asks("GET", STORE + "/api-keys"), asks("POST", STORE + "/write-key")
READS_SELF, MAKES_STORE = asks("GET", "/v1/identity/me"), asks("POST", "/v1/stores", body={"title": "New"})
ADMIN_READS = asks("GET", "/v1/admin/accounts/{boss}", "root")
ADMIN_CHANGES = asks("DELETE", "/v1/admin/accounts/{boss}/grants/premium", "root")
DEMOTION = boss_asks("PATCH", MEMBER, {"role": "analyst"})
REMOVAL = boss_asks("DELETE", MEMBER)
BAN: Event = lambda scene: scene.do(lambda accounts: accounts.set_banned(user_of(scene.member), banned=True))  # noqa: E731  # it is handed on, and has the type that is asked for
NO_ADMIN: Event = lambda scene: scene.do(lambda accounts: accounts.set_admin(user_of(scene.root), admin=False))  # noqa: E731  # it is handed on, and has the type that is asked for

LOSSES: dict[str, tuple[Event, By, By, int]] = {
    "a lower role": (DEMOTION, READS_KEYS, MAKES_KEY, 403),
    "a removed member": (REMOVAL, READS_STORE, EDITS, 404),
    "a member who left": (boss_asks("DELETE", STORE + "/membership", who="member"), READS_STORE, EDITS, 404),
    "a deleted store": (boss_asks("DELETE", STORE), READS_STORE, EDITS, 404),
    "a revoked key": (boss_asks("DELETE", STORE + "/api-keys/{key}"), KEY_READS, KEY_EDITS, 401),
    "a key whose maker was removed": (REMOVAL, KEY_READS, KEY_EDITS, 401),
    "a key whose maker is banned": (BAN, KEY_READS, KEY_EDITS, 401),
    "a banned account": (BAN, READS_SELF, MAKES_STORE, 401),
    "a banned member": (BAN, READS_STORE, EDITS, 401),
    "a sign-out everywhere": (
        boss_asks("DELETE", "/v1/identity/sessions", who="other_session"), READS_SELF, MAKES_STORE, 401
    ),
    "a session that was ended": (
        boss_asks("DELETE", "/v1/identity/sessions/{session}", who="other_session"), READS_SELF, MAKES_STORE, 401
    ),
    "a sign-out": (
        lambda scene: scene.pair.first.post(
            "/v1/identity/sessions/end", {"refresh_token": scene.member.refresh_token}
        ).raise_for_status(), READS_SELF, MAKES_STORE, 401,
    ),
    "a new password": (
        boss_asks(
            "POST", "/v1/identity/password-changes",
            {"current_password": PASSWORD, "password": "another horse battery"}, who="other_session",
        ), READS_SELF, MAKES_STORE, 401,
    ),
    "a deleted account": (
        boss_asks("POST", "/v1/identity/deletions", {"password": PASSWORD}, who="other_session"),
        READS_STORE, MAKES_STORE, 401,
    ),
    "an admin no more": (NO_ADMIN, ADMIN_READS, ADMIN_CHANGES, 403),
}  # fmt: skip
"""What is lost by the first process; what reads and what changes something at the second one; and what refuses it."""


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_at_one_process_reads_nothing_at_another_one_half_a_second_later(pair: Pair, loss: str) -> None:
    lose, read, _, status = LOSSES[loss]
    scene = Scene.set(pair)
    assert read(scene).status_code == 200
    lose(scene)
    assert eventually(lambda: read(scene).status_code == status, 1)
    assert {read(scene).status_code for _ in range(3)} == {status}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_at_one_process_changes_nothing_at_another_one_from_the_next_request_on(
    pair: Pair, loss: str
) -> None:
    lose, read, change, status = LOSSES[loss]
    scene = Scene.set(pair)
    assert read(scene).status_code == 200
    lose(scene)
    refused = change(scene)
    assert refused.status_code == status, refused.text
    # What was found out for the change counts for who reads, too.
    assert read(scene).status_code == status


def test_who_was_let_in_at_one_process_is_in_at_another_one_with_the_next_request(pair: Pair) -> None:
    scene = Scene.set(pair)
    new = pair.registry.person()
    elsewhere = at(new, pair.second)
    assert elsewhere.ask("GET", f"/v1/stores/{scene.slug}").status_code == 404
    token = invite(pair, scene.boss, scene.slug, new.email, "analyst")
    assert new.ask("POST", "/v1/invitations/acceptances", json={"token": token}).status_code == 201
    assert elsewhere.ask("GET", f"/v1/stores/{scene.slug}").status_code == 200


def test_one_bucket_is_shared_by_both_processes_whoever_is_asked(pair: Pair) -> None:
    ann = pair.registry.person()
    policy = ENTITLEMENTS[Tier.FREE].requests
    seconds, began = 3.0, time.monotonic()

    def pound(api: Api) -> tuple[int, int]:
        granted = refused = 0
        with httpx.Client(base_url=api.url, headers=bearer(ann.access_token), timeout=20) as client:
            while time.monotonic() < began + seconds:
                answer = client.get("/v1/identity/me")
                assert answer.status_code in (200, 429)
                granted += answer.status_code == 200
                refused += answer.status_code == 429
                if answer.status_code == 429:
                    assert int(answer.headers["retry-after"]) >= 1
        return granted, refused

    with ThreadPoolExecutor(4) as pool:
        counted = list(pool.map(pound, (pair.first, pair.second) * 2))
    took = time.monotonic() - began
    for api in (pair.first, pair.second):
        assert "marketplace_api_limiter_degraded 0.0" in httpx.get(f"{api.admin_url}/metrics", timeout=10).text
    granted = sum(each for each, _ in counted)
    assert policy.burst * 3 / 4 + policy.rate_per_second * seconds / 2 < granted
    assert granted <= policy.burst + policy.rate_per_second * took + 1
    assert all(refused for _, refused in counted)
