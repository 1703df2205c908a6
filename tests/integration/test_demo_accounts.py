"""The demo's accounts on a real API: what each sees, and what a further demo does with them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest

from connectors.mongo.client import connect
from marketplace.collections import COLLECTIONS, MAILS
from ops.demo.services.demo_accounts import DemoAccount, ensure_accounts, somebody_has_an_account
from ops.demo.services.demo_processes import DemoFailed, open_shops
from ops.demo.traffic.shops import SHOPS, DemoStore, Shop
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.api import Api, Person, own_database, quiet_api

PAGES_URL = "http://127.0.0.1:9"


@dataclass
class Demo:
    """Three shops and their accounts.

    Attributes:
        api: Where they sign in.
        settings: Of the database.
        shops: The owner's, the one with the analyst, one more of the admin's.
    """

    api: Api
    settings: Settings
    shops: list[DemoStore]

    def accounts(self) -> list[DemoAccount]:
        """What a demo does at its end."""
        return ensure_accounts(self.settings, self.shops, PAGES_URL, datetime.now(UTC))

    def sign_in(self, account: DemoAccount) -> Person:
        """Begin a session."""
        return self.api.sign_in(account.email, account.password)

    def roles(self, account: DemoAccount) -> dict[str, str]:
        """The stores that an account sees, with its role in each, by the API."""
        found = self.sign_in(account).ask("GET", "/v1/stores").json()
        assert found["next"] is None
        return {each["slug"]: each["role"] for each in found["stores"]}


@pytest.fixture(scope="module")
def demo(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with quiet_api(stack, tmp_path_factory.mktemp("demo-accounts")) as api:
        settings = Settings(stack.urls, PurePosixPath(api.folder), api.environment["MARKETPLACE_DATABASE"])
        yield Demo(api, settings, open_own(settings, 3))


def own_shops(count: int) -> tuple[Shop, ...]:
    """Shops whose names nobody else has."""
    mark = uuid.uuid4().hex[:8]
    return tuple(replace(SHOPS[0], name=f"shop-{mark}-{number}") for number in range(count))


def open_own(settings: Settings, count: int) -> list[DemoStore]:
    """Shops whose accounts nobody else signs in to, the admin's neither: attempts at an address are limited."""
    shops, run = own_shops(count), uuid.uuid4().hex[:8]
    # Those of the second time have the run in their slugs, and with that an admin of their own.
    return [open_shops(settings, 1, run, fresh=True, shops=shops) for _ in range(2)][1]


def test_each_account_sees_its_own_shops_in_its_role_and_no_others(demo: Demo) -> None:
    owner, analyst, admin = demo.accounts()
    mine, theirs, third = (each.store.slug for each in demo.shops)

    assert [each.who for each in (owner, analyst, admin)] == ["owner", "analyst", "admin"]
    assert demo.roles(owner) == {mine: "owner"} == dict.fromkeys(owner.stores, "owner")
    assert demo.roles(admin) == {theirs: "owner", third: "owner"} == dict.fromkeys(admin.stores, "owner")
    person = demo.sign_in(analyst)
    assert {each["slug"]: each["role"] for each in person.ask("GET", "/v1/stores").json()["stores"]} == {
        theirs: "analyst"
    }
    assert analyst.stores == (theirs,)
    assert person.ask("GET", f"/v1/stores/{mine}").status_code == 404
    assert person.ask("GET", f"/v1/stores/{theirs}/keys").status_code == 403
    assert person.ask("GET", "/v1/identity/me").json()["admin"] is False
    found = demo.sign_in(admin).ask("GET", "/v1/admin/accounts", params={"email": owner.email})
    # CSV and the whole history are there to be looked at.
    assert (found.json()["email"], found.json()["tier"]) == (owner.email, "premium")


def test_a_further_demo_sets_new_passwords_and_ends_the_sign_ins_of_the_former_ones(demo: Demo) -> None:
    before = demo.accounts()
    people = [demo.sign_in(each) for each in before]

    after = demo.accounts()

    assert [(each.who, each.email, each.stores) for each in after] == [
        (each.who, each.email, each.stores) for each in before
    ]
    assert not {each.password for each in before} & {each.password for each in after}
    for person, former in zip(people, before, strict=True):
        assert person.is_out_within(1)
        credentials = {"email": former.email, "password": former.password}
        assert demo.api.post("/v1/identity/sessions", credentials).status_code == 401


def ban(demo: Demo, analyst: DemoAccount, admin: DemoAccount) -> None:
    demo.api.command("accounts", "ban", analyst.email)


def take_the_admin_s_right(demo: Demo, analyst: DemoAccount, admin: DemoAccount) -> None:
    demo.api.command("accounts", "admin", "--revoke", admin.email)


def remove_the_analyst(demo: Demo, analyst: DemoAccount, admin: DemoAccount) -> None:
    boss, user = demo.sign_in(admin), analyst_id(demo, analyst)
    assert boss.ask("DELETE", f"/v1/stores/{analyst.stores[0]}/members/{user}").status_code == 204


def promote_the_analyst(demo: Demo, analyst: DemoAccount, admin: DemoAccount) -> None:
    boss, user = demo.sign_in(admin), analyst_id(demo, analyst)
    changed = boss.ask("PATCH", f"/v1/stores/{analyst.stores[0]}/members/{user}", json={"role": "manager"})
    assert changed.status_code == 200, changed.text


def delete_the_account(demo: Demo, analyst: DemoAccount, admin: DemoAccount) -> None:
    deleted = demo.sign_in(analyst).post("/v1/identity/deletions", {"password": analyst.password})
    assert deleted.status_code == 204, deleted.text


def analyst_id(demo: Demo, analyst: DemoAccount) -> str:
    return str(demo.sign_in(analyst).ask("GET", "/v1/identity/me").json()["id"])


@pytest.mark.parametrize(
    "change", [ban, take_the_admin_s_right, remove_the_analyst, promote_the_analyst, delete_the_account]
)
def test_a_further_demo_gives_back_what_was_changed(
    demo: Demo, change: Callable[[Demo, DemoAccount, DemoAccount], None]
) -> None:
    own = Demo(demo.api, demo.settings, open_own(demo.settings, 2))
    _, analyst, admin = own.accounts()

    change(own, analyst, admin)

    _, analyst, admin = own.accounts()
    assert own.roles(analyst) == {own.shops[1].store.slug: "analyst"}
    assert own.sign_in(admin).ask("GET", "/v1/identity/me").json()["admin"] is True


def test_shops_whose_names_were_taken_have_accounts_of_their_own(demo: Demo) -> None:
    shops = own_shops(2)
    first = Demo(demo.api, demo.settings, open_shops(demo.settings, 1, "r1", fresh=True, shops=shops))
    second = Demo(demo.api, demo.settings, open_shops(demo.settings, 1, "r2", fresh=True, shops=shops))

    before, after = first.accounts(), second.accounts()

    assert [each.email for each in after] == [
        f"owner@{shops[0].name}-r2.example",
        f"analyst@{shops[1].name}-r2.example",
        "admin@marketplace-r2.example",
    ]
    assert first.roles(before[0]) == {shops[0].name: "owner"}
    assert second.roles(after[2]) == {f"{shops[1].name}-r2": "owner"}


def test_no_password_is_in_the_database_or_a_log(demo: Demo) -> None:
    passwords = [account.password for _ in range(2) for account in demo.accounts()]
    client = connect(demo.settings.urls.mongo)
    database = client[demo.settings.database]
    kept = {each.name: repr(list(database[each.name].find())) for each in COLLECTIONS}
    client.close()
    kept["log"] = (demo.api.folder / "api.log").read_text()
    kept |= {str(file): file.read_text() for file in (demo.api.folder / "mails").glob("*")}
    assert MAILS.name in kept
    assert [(where, password) for where, text in kept.items() for password in passwords if password in text] == []


@pytest.fixture
def empty(stack: Stack) -> Iterator[Settings]:
    """A database without an account."""
    with own_database(stack) as database:
        settings = Settings(stack.urls, PurePosixPath("unused"), database)
        ensure_provisioned(settings, resources=Resources(collections=COLLECTIONS))
        yield settings


def test_somebody_has_an_account_from_the_first_one_on(empty: Settings) -> None:
    opened = open_shops(empty, 1, "", fresh=True)
    assert not somebody_has_an_account(empty)
    ensure_accounts(empty, opened, PAGES_URL, datetime.now(UTC))
    assert somebody_has_an_account(empty)


def test_more_shops_than_a_plan_includes_are_a_clear_failure(empty: Settings) -> None:
    opened = open_shops(empty, 1, "", fresh=True, shops=own_shops(12))
    with pytest.raises(DemoFailed, match="accounts cannot be made: the plan includes 10 stores"):
        ensure_accounts(empty, opened, PAGES_URL, datetime.now(UTC))
