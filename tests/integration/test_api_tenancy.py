"""Stores, members and API keys on two processes of the API: what one of them changes holds in the other one at once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from connectors.mongo.client import connect
from connectors.mongo.store_directory import find_by_write_key
from connectors.mongo.stores import MongoStores
from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, Person, bearer, own_database, running_api


@dataclass
class Pair:
    """Two processes on one database, and the database."""

    first: Api
    second: Api
    mongo: Any


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
            yield Pair(first, second, client[database])
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
            edited = edit(api, slug, key, {"title": f"Title {number}"})
            assert edited.status_code == (200 if role == "manager" else 403)
    assert ann.ask("DELETE", f"/v1/stores/{slug}/members/{id_of(bob)}").status_code == 204
    assert elsewhere.ask("GET", f"/v1/stores/{slug}").status_code == 404
    assert pair.second.ask("GET", f"/v1/stores/{slug}", headers=bearer(key)).status_code == 401

    write_key = ann.ask("POST", f"/v1/stores/{slug}/write-key").json()["write_key"]
    client = connect(stack.urls.mongo)
    found = find_by_write_key(MongoStores(client, pair.mongo.name), write_key)
    client.close()
    assert found is not None
    assert found.slug == slug


def edit(api: Api, slug: str, key: str, body: dict[str, Any]) -> httpx.Response:
    etag = api.ask("GET", f"/v1/stores/{slug}", headers=bearer(key)).headers["etag"]
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
    barrier = threading.Barrier(10)

    def accept(number: int) -> int:
        barrier.wait(20)
        person = at(bob, (pair.first, pair.second)[number % 2])
        return person.ask("POST", "/v1/invitations/acceptances", json={"token": token}).status_code

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(accept, range(10))) == [201] + [410] * 9
    assert pair.mongo["memberships"].count_documents({"store": slug, "user": id_of(bob)}) == 1


def test_an_admin_gives_a_plan_and_ends_it_and_both_hold_at_once(pair: Pair) -> None:
    root, ann = account(pair, admin=True), account(pair)
    first = new_store(ann)
    path = f"/v1/admin/accounts/{id_of(ann)}/grants"
    assert ann.ask("POST", path, json={"tier": "premium"}).status_code == 403
    assert ann.ask("POST", "/v1/stores", json={"title": "Second"}).status_code == 403
    assert root.ask("POST", path, json={"tier": "premium"}).status_code == 201
    second = new_store(at(ann, pair.second))
    assert root.ask("DELETE", f"{path}/premium").status_code == 200
    for slug, frozen in ((first, False), (second, True)):
        assert at(ann, pair.second).ask("GET", f"/v1/stores/{slug}").json()["frozen"] is frozen


def test_who_was_banned_is_out_at_the_next_request_with_every_credential(pair: Pair) -> None:
    ann = account(pair)
    slug = new_store(ann)
    body = {"name": "Warehouse", "scopes": ["store:read"]}
    key = ann.ask("POST", f"/v1/stores/{slug}/api-keys", json=body).json()["key"]
    assert pair.second.ask("GET", f"/v1/stores/{slug}", headers=bearer(key)).status_code == 200
    pair.mongo["users"].update_one({"email": ann.email}, {"$set": {"banned": True}})
    for api in (pair.first, pair.second):
        assert at(ann, api).ask("GET", f"/v1/stores/{slug}").status_code == 401
        assert api.ask("GET", f"/v1/stores/{slug}", headers=bearer(key)).status_code == 401
