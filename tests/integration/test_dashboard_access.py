"""What ends the dashboard's cookie, and what it shows: the API's events against what the dashboard reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.errors import Unavailable
from connectors.mongo.client import connect
from connectors.mongo.sagas.store_orders import StoreOrders
from dashboards.data.store_api import Change, Form, SignIn, StoreApi
from dashboards.data.viewers import DatabaseReader
from dashboards.web.identity_api import Browser
from marketplace.collections import MEMBERSHIPS, STORES, USERS
from marketplace.entitlements import Tier
from ops.stack import Stack
from runtime.ports import free_ports
from tests.kits.api import PASSWORD, Api, Person, own_database, running_api
from tests.kits.stack import leftovers_collected
from tests.kits.store_orders import documents_of, line, placed, put_orders

NEW_PASSWORD = "another horse battery"
BROWSER = Browser("203.0.113.9", "Firefox")


@dataclass
class Both:
    """An API, and a reader of the dashboard on the same data."""

    api: Api
    reader: DatabaseReader
    mongo: Any

    def sees(self, person: Person) -> list[str] | None:
        """The stores that a cookie of this sign-in shows; None where it is worth nothing."""
        found = self.reader.member(person.refresh_token)
        return None if found is None else sorted(found.stores)


@pytest.fixture(scope="module")
def both(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("access")
    numbers = {"MARKETPLACE_CLICKHOUSE_URL": stack.urls.clickhouse}
    with (
        own_database(stack) as database,
        running_api(stack, folder, database, **numbers) as api,
        closing(DatabaseReader(stack.urls.mongo, database, stack.urls.redis)) as reader,
        closing(connect(stack.urls.mongo)) as client,
    ):
        yield Both(api, reader, client[database])


def change_password(person: Person) -> None:
    body = {"current_password": PASSWORD, "password": NEW_PASSWORD}
    assert person.post("/v1/identity/password-changes", body).status_code == 204


def reset_password(person: Person) -> None:
    assert person.api.post("/v1/identity/password-resets", {"email": person.email}).status_code == 202
    token = person.api.link_to(person.email, "Choose a new password")
    assert person.api.post("/v1/identity/passwords", {"token": token, "password": NEW_PASSWORD}).status_code == 204


def sign_out_everywhere(person: Person) -> None:
    assert person.ask("DELETE", "/v1/identity/sessions").status_code == 204


def ban(person: Person) -> None:
    person.api.command("accounts", "ban", person.email)


def delete_account(person: Person) -> None:
    assert person.post("/v1/identity/deletions", {"password": PASSWORD}).status_code == 204


@pytest.mark.parametrize("event", [change_password, reset_password, sign_out_everywhere, ban, delete_account])
def test_what_ends_all_sign_ins_ends_the_cookie_of_the_dashboard(both: Both, event: Callable[[Person], None]) -> None:
    first = both.api.make_account()
    cookie = both.api.sign_in(first.email)
    assert both.sees(cookie) == []

    event(first)

    assert both.sees(cookie) is None


def test_an_end_of_one_session_ends_its_cookie_and_no_other(both: Both) -> None:
    first = both.api.make_account()
    second = both.api.sign_in(first.email)
    session = second.refresh_token.split(".")[1]

    assert first.ask("DELETE", f"/v1/identity/sessions/{session}").status_code == 204

    assert both.sees(second) is None
    assert both.sees(first) == []


def test_a_sign_out_of_the_dashboard_ends_the_session_for_the_api_within_a_second_too(both: Both) -> None:
    person = both.api.make_account()
    assert person.is_signed_in()

    both.reader.end(person.refresh_token)

    assert both.sees(person) is None
    assert person.ask("DELETE", "/v1/identity/sessions").status_code == 401
    assert person.is_out_within(1.0)
    assert both.api.refresh(person.refresh_token).status_code == 401


def test_a_cookie_whose_value_was_refreshed_by_somebody_is_worth_nothing(both: Both) -> None:
    person = both.api.make_account()

    assert both.api.refresh(person.refresh_token).status_code == 200

    assert both.sees(person) is None


@pytest.mark.parametrize("change", ["user", "session", "secret"])
def test_a_cookie_of_made_up_parts_is_worth_nothing(both: Both, change: str) -> None:
    person, other = both.api.make_account(), both.api.make_account()
    parts = dict(zip(("user", "session", "secret"), person.refresh_token.split("."), strict=True))
    others = dict(zip(("user", "session", "secret"), other.refresh_token.split("."), strict=True))

    assert both.reader.member(".".join({**parts, change: others[change]}.values())) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "a.b.\xe9", "a" * 500, "mk_1_2"])
def test_text_that_is_no_token_is_worth_nothing(both: Both, token: str) -> None:
    assert both.reader.member(token) is None


def test_a_store_is_seen_by_its_members_of_every_role_and_until_they_are_removed(both: Both) -> None:
    owner, member, other = (both.api.make_account() for _ in range(3))
    made = owner.post("/v1/stores", {"title": "Tea", "slug": "tea"})
    assert made.status_code == 201, made.text
    user = member.ask("GET", "/v1/identity/me").json()["id"]
    memberships = both.mongo[MEMBERSHIPS.name]
    template = memberships.find_one({"store": "tea"})
    for role in ("analyst", "manager", "owner"):
        document = {**template, "_id": f"tea:{user}", "user": user, "role": role}
        memberships.replace_one({"_id": document["_id"]}, document, upsert=True)
        found = both.reader.member(member.refresh_token)
        assert found is not None
        assert [(each.slug, found.roles[each.slug].value) for each in found.stores.values()] == [("tea", role)]
    assert (both.sees(owner), both.sees(other)) == (["tea"], [])

    assert owner.ask("DELETE", f"/v1/stores/tea/members/{user}").status_code == 204

    assert (both.sees(owner), both.sees(member)) == (["tea"], [])
    assert owner.ask("DELETE", "/v1/stores/tea").status_code == 204
    assert both.sees(owner) == []
    assert both.mongo[STORES.name].find_one({"_id": "tea"}) is not None


def test_what_the_owners_pay_for_is_read_with_the_access_to_their_store(both: Both) -> None:
    owner = both.api.make_account()
    assert owner.post("/v1/stores", {"title": "Cups", "slug": "cups"}).status_code == 201
    premium = {"tier": "premium", "since": 0, "until": None}
    for grants, tier in (([], Tier.FREE), ([premium], Tier.PREMIUM), ([{**premium, "until": 1}], Tier.FREE)):
        both.mongo[USERS.name].update_one({"email_key": owner.email}, {"$set": {"grants": grants}})
        found = both.reader.member(owner.refresh_token)
        assert found is not None
        assert found.tier("cups") is tier


def test_whether_there_is_an_account_is_read_from_the_database(both: Both, stack: Stack) -> None:
    both.api.make_account()
    assert both.reader.has_accounts()
    with own_database(stack) as empty, closing(DatabaseReader(stack.urls.mongo, empty, stack.urls.redis)) as reader:
        assert not reader.has_accounts()


@pytest.mark.parametrize("part", ["mongo", "redis"])
def test_nobody_is_let_in_or_signed_out_while_a_part_is_unavailable(both: Both, stack: Stack, part: str) -> None:
    person = both.api.make_account()
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    mongo = f"mongodb://{nowhere}/?directConnection=true" if part == "mongo" else stack.urls.mongo
    redis = f"redis://{nowhere}/0" if part == "redis" else stack.urls.redis
    database = both.api.environment["MARKETPLACE_DATABASE"]
    with leftovers_collected(), closing(DatabaseReader(mongo, database, redis)) as reader:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            reader.member(person.refresh_token)
        assert time.monotonic() - began < 8
    assert both.sees(person) == []


def exchanged(api: Api, token: str) -> Any:
    """What the API answers to somebody who wants an access token for the token of a cookie."""
    return api.post("/v1/identity/access-tokens", {"refresh_token": token})


def test_the_cookie_s_token_gets_an_access_token_of_the_same_session_and_stays_what_it_is(both: Both) -> None:
    person = both.api.make_account()
    answers = [exchanged(both.api, person.refresh_token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(answer.json().keys() == {"access_token", "token_type", "expires_in"} for answer in answers)
    assert both.sees(person) == []
    token = answers[0].json()["access_token"]
    asked = both.api.ask("GET", "/v1/identity/sessions", headers={"authorization": f"Bearer {token}"})
    assert [each["current"] for each in asked.json()["sessions"]] == [True]

    assert person.ask("DELETE", f"/v1/identity/sessions/{person.refresh_token.split('.')[1]}").status_code == 204

    assert exchanged(both.api, person.refresh_token).status_code == 401
    headers = {"authorization": f"Bearer {token}"}
    assert both.api.ask("DELETE", "/v1/identity/sessions", headers=headers).status_code == 401


@pytest.mark.parametrize("event", [change_password, ban])
def test_what_ends_all_sign_ins_ends_what_the_cookie_s_token_can_get(
    both: Both, event: Callable[[Person], None]
) -> None:
    first = both.api.make_account()
    cookie = both.api.sign_in(first.email)
    event(first)
    assert exchanged(both.api, cookie.refresh_token).status_code == 401


def test_a_token_that_was_replaced_gets_no_access_token(both: Both) -> None:
    person = both.api.make_account()
    assert both.api.refresh(person.refresh_token).status_code == 200
    assert exchanged(both.api, person.refresh_token).status_code == 401


@pytest.mark.parametrize("token", ["a.b.c" * 6, "x" * 43, "mk_" + "1" * 40])
def test_text_that_is_no_token_gets_no_access_token(both: Both, token: str) -> None:
    assert exchanged(both.api, token).status_code == 401


def test_a_seller_changes_an_order_of_the_own_store_once_and_nothing_of_another_one(both: Both, stack: Stack) -> None:
    owner, other, member = (both.api.make_account() for _ in range(3))
    assert owner.post("/v1/stores", {"title": "Beans", "slug": "beans"}).status_code == 201
    assert other.post("/v1/stores", {"title": "Pans", "slug": "pans"}).status_code == 201
    user = member.ask("GET", "/v1/identity/me").json()["id"]
    template = both.mongo[MEMBERSHIPS.name].find_one({"store": "beans"})
    both.mongo[MEMBERSHIPS.name].insert_one({**template, "_id": f"beans:{user}", "user": user, "role": "analyst"})
    now_ms = int(time.time() * 1_000)
    played = placed("beans", line(1, quantity=3), placed_ms=now_ms).pays()
    put_orders(both.mongo.client, both.mongo.name, [documents_of(played)])
    own, form = played.order.id, Form()
    change = Change("POST", f"orders/{own}/refunds", {"lines": [{"number": 1, "quantity": 1}], "restock": True})
    with closing(StoreApi(both.api.url)) as api:

        def ask(who: Person, store: str = "beans", asked: Change = change) -> int:
            return api.change(SignIn(who.refresh_token, BROWSER), store, asked, form.key(store, asked)).status

        assert (ask(member), ask(other), ask(other, "pans"), ask(owner, "pans")) == (403, 404, 404, 404)
        assert [ask(owner) for _ in range(3)] == [200, 200, 200]
        packed = Change("PUT", f"orders/{own}/fulfilment", {"state": "packed"})
        assert (ask(owner, asked=packed), ask(owner, asked=Change("POST", f"orders/{own}/cancel"))) == (200, 200)
    found = StoreOrders(both.mongo.client, both.mongo.name).one("beans", own)
    assert found is not None
    # One for the line, one for the rest; three clicks were one.
    assert [refund.amount_minor for refund in found.sold.order.refunds] == [1_250, 2_500]
    assert (found.sold.fulfilment.state.value, found.sold.order.state.value) == ("packed", "refunding")
