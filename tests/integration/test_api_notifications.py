"""Notifications over HTTP: who reads which, what comes by mail, and the link in mails."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.search.service import SearchService
from api.storefront.service import Shop
from connectors.mongo.notifications import Notifications
from connectors.mongo.sagas.notifications import notification_document
from connectors.payments.methods import methods_of
from connectors.redis import sessions
from connectors.redis.sent_forms import SentForms
from marketplace.collections import NOTIFICATION_PREFERENCES, NOTIFICATIONS, USERS
from marketplace.notifications.notices import Notice, Template
from marketplace.notifications.preferences import unsubscribe_token
from tests.kits.notifications import PLACED_MS, facts, low
from tests.kits.tenancy import Run, World

LIST, READ, WANTED = "/v1/notifications", "/v1/notifications/read", "/v1/me/notification-preferences"
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def put(world: World, recipient: str, count: int, template: Template = Template.ORDER_CONFIRMED) -> list[str]:
    """Notifications, three of them always at one time; gives their ids, the newest first."""
    about = low() if template is Template.LOW_STOCK else facts()
    rows = [
        notification_document(Notice(recipient, template, f"e{at}"), about, PLACED_MS + at // 3) for at in range(count)
    ]
    await world.client[world.database][NOTIFICATIONS.name].insert_many(rows)
    return [row["_id"] for row in sorted(rows, key=lambda row: (-row["at_ms"], row["_id"]))]


async def pages(world: World, who: str, path: str, limit: int) -> list[str]:
    """All ids of a list, page by page."""
    found: list[str] = []
    cursor = ""
    while True:
        query = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
        answer = (await world.ask("GET", path, who, params=query)).json()
        assert len(answer["notifications"]) <= limit
        found += [each["id"] for each in answer["notifications"]]
        if not (cursor := answer["next"] or ""):
            return found


async def people(world: World) -> None:
    await world.store("shop", ann="owner", max="manager", eve="analyst")
    await world.store("other", mia="owner")
    await world.user("bea")


def test_everybody_reads_the_own_ones_page_by_page_and_no_others(run: Run) -> None:
    async def work(world: World) -> None:
        await people(world)
        wanted = await put(world, "user:bea", 11)
        await put(world, "user:ann", 2)
        for limit in (1, 4, 100):
            assert await pages(world, "bea", LIST, limit) == wanted
        one = (await world.ask("GET", LIST, "bea")).json()["notifications"][0]
        assert one["title"] == "Your order 9C51D06E is confirmed"
        assert "Ann's shop has your order of 29 November 2026 at 13:00" in one["text"]
        assert (one["kind"], one["unread"], one["store"]) == ("order_confirmed", True, "anns-shop")
        foreign = (await world.ask("GET", LIST, "bea", params={"limit": "2"})).json()["next"]
        assert (await world.ask("GET", LIST, "ann", params={"cursor": foreign})).status_code == 400
        assert (await world.ask("GET", LIST)).status_code == 401
        later = {"template": "order_arrives_tomorrow"}
        await world.client[world.database][NOTIFICATIONS.name].update_one({"_id": wanted[0]}, {"$set": later})
        assert await pages(world, "bea", LIST, 4) == wanted[1:]
        assert (await world.ask("GET", LIST, "bea")).json()["unread"] == 10

    run(work)


def test_what_was_read_is_counted_no_more_and_only_ones_own_is_read(run: Run) -> None:
    async def unread(world: World, who: str) -> int:
        return int((await world.ask("GET", LIST, who)).json()["unread"])

    async def work(world: World) -> None:
        await people(world)
        ids = await put(world, "user:bea", 9)
        (foreign,) = await put(world, "user:ann", 1)
        assert await unread(world, "bea") == 9
        assert (await world.ask("POST", READ, "bea", json={"until": foreign})).status_code == 204
        assert (await world.ask("POST", READ, "bea", json={"until": "0" * 32})).status_code == 204
        assert (await unread(world, "bea"), await unread(world, "ann")) == (9, 1)
        # All of one moment are read together.
        assert (await world.ask("POST", READ, "bea", json={"until": ids[4]})).status_code == 204
        assert await unread(world, "bea") == 3
        assert (await world.ask("POST", READ, "bea", json={"until": ids[0]})).status_code == 204
        assert await unread(world, "bea") == 0
        assert [each["unread"] for each in (await world.ask("GET", LIST, "bea")).json()["notifications"]] == [False] * 9
        await put(world, "user:max", 120)
        assert await unread(world, "max") == 100
        for bad in ({}, {"until": "x"}, {"until": ids[0], "more": 1}, {"until": None}):
            assert (await world.ask("POST", READ, "bea", json=bad)).status_code == 422

    run(work)


def test_those_who_may_see_orders_of_a_store_read_what_it_was_notified_of(run: Run) -> None:
    async def work(world: World) -> None:
        await people(world)
        path = "/v1/stores/shop/notifications"
        wanted = await put(world, "store:shop", 5, Template.LOW_STOCK)
        await put(world, "store:other", 2, Template.NEW_ORDER)
        assert await pages(world, "max", path, 2) == wanted
        one = (await world.ask("GET", path, "ann")).json()["notifications"][0]
        assert (one["kind"], one["order"], one["product"], one["unread"]) == ("low_stock", None, "p1", False)
        assert "unread" not in (await world.ask("GET", path, "ann")).json()
        for who, status in (("eve", 403), ("mia", 404), ("bea", 404), ("", 401)):
            assert (await world.ask("GET", path, who)).status_code == status

    run(work)


def test_what_is_wanted_is_kept_for_each_account(run: Run) -> None:
    async def work(world: World) -> None:
        await people(world)
        assert (await world.ask("GET", WANTED, "bea")).json() == {"orders_by_mail": True}
        for value in (False, True, False):
            assert (await world.ask("PUT", WANTED, "bea", json={"orders_by_mail": value})).status_code == 200
            assert (await world.ask("GET", WANTED, "bea")).json() == {"orders_by_mail": value}
        assert (await world.ask("GET", WANTED, "ann")).json() == {"orders_by_mail": True}
        for bad in ({}, {"orders_by_mail": 1}, {"orders_by_mail": None}, {"orders_by_mail": True, "security": False}):
            assert (await world.ask("PUT", WANTED, "bea", json=bad)).status_code == 422

    run(work)


class Pages:
    """The page of a mail's link, asked without any cookie or origin."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.app.app.state.shop = Shop.on_services(  # type: ignore[attr-defined]  # nothing starts the application
            world.client,
            world.database,
            world.catalog,
            SearchService.on_index(world.index),
            world.shopping,
            SentForms(sessions.connect_async("redis://127.0.0.1:9/0")),
            world.ordering,
            methods_of("sandbox", "http://127.0.0.1:9"),
        )

    async def token(self, user: str) -> str:
        """Of the mails of an account."""
        secret = await Notifications(self.world.client, self.world.database)._new_secret(user)
        return unsubscribe_token(user, secret)

    async def ask(self, method: str, token: str, content: bytes = b"", **headers: str) -> httpx.Response:
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.world.ask(method, f"/shop/unsubscribe/{token}", content=content, headers=own)

    async def wanted(self, user: str) -> bool:
        return bool((await self.world.ask("GET", WANTED, user)).json()["orders_by_mail"])


def test_a_mails_link_changes_nothing_by_being_looked_at_and_ends_mails_by_its_button(run: Run) -> None:
    async def work(world: World) -> None:
        await people(world)
        pages_, token = Pages(world), await Pages(world).token("bea")
        for method in ("GET", "HEAD", "GET"):
            answer = await pages_.ask(method, token)
            assert answer.status_code == 200
            assert await pages_.wanted("bea")
        shown = await pages_.ask("GET", token)
        assert "Send me no more" in shown.text
        assert f'action="/shop/unsubscribe/{token}"' in shown.text
        assert "Ann" not in shown.text
        assert (await pages_.ask("POST", token, b"List-Unsubscribe=One-Click", **FORM)).status_code == 200
        assert not await pages_.wanted("bea")
        assert "You get no mails about orders" in (await pages_.ask("GET", token)).text
        # Again is no error, and the same link stays good.
        assert (await pages_.ask("POST", token, b"List-Unsubscribe=One-Click", **FORM)).status_code == 200
        assert (await pages_.ask("POST", token, b"do=resume", **FORM)).status_code == 200
        assert await pages_.wanted("bea")
        assert await pages_.wanted("ann")

    run(work)


MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"List-Unsubscribe=One-Click", FORM),
        (b"List-Unsubscribe=One-Click", {"content-type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}),
        (MULTIPART, {"content-type": "multipart/form-data; boundary=x"}),
        (b"", {}),
        (b"\xff\xfe", FORM),
        (b"&".join(b"a=%d" % at for at in range(50)), FORM),
        (b"List-Unsubscribe=One-Click", {**FORM, "origin": "https://mail.example", "sec-fetch-site": "cross-site"}),
    ],
)  # fmt: skip
def test_one_request_of_a_mail_program_ends_mails_however_it_is_written(
    run: Run, content: bytes, headers: dict[str, str]
) -> None:
    async def work(world: World) -> None:
        await people(world)
        pages_, token = Pages(world), await Pages(world).token("bea")
        answer = await pages_.ask("POST", token, content, **headers)
        assert (answer.status_code, await pages_.wanted("bea")) == (200, False)

    run(work)


def test_a_link_that_is_none_changes_nothing_and_is_a_page_that_says_so(run: Run) -> None:
    async def work(world: World) -> None:
        await people(world)
        pages_, token = Pages(world), await Pages(world).token("bea")
        others = (
            "x", "bea", f"bea.{'A' * 32}", token.replace("bea", "ann"), f"{token}x", "<script>", "%00", "b" * 2_000,
            f"ann.{'A' * 32}", f"nobody.{'A' * 32}",
        )  # fmt: skip
        for other in others:
            for method in ("GET", "POST"):
                answer = await pages_.ask(method, other)
                assert answer.status_code == 404, other
                assert "not good any more" in answer.text
                assert "<script>" not in answer.text
        rows = await world.client[world.database][NOTIFICATION_PREFERENCES.name].find().to_list()
        assert [(row["_id"], row.get("orders_by_mail", True)) for row in rows] == [("bea", True)]
        assert (await pages_.ask("POST", token, b"x" * 70_000, **FORM)).status_code == 413

    run(work)


def test_the_link_of_an_account_that_was_deleted_brings_nothing_of_it_back(run: Run) -> None:
    async def work(world: World) -> None:
        await people(world)
        pages_, token = Pages(world), await Pages(world).token("bea")
        kept = world.client[world.database][NOTIFICATION_PREFERENCES.name]

        async def forget(session: Any) -> None:
            await Notifications(world.client, world.database).forget("bea", session)

        async with world.client.start_session() as session:
            await session.with_transaction(forget)
        await world.client[world.database][USERS.name].delete_one({"_id": "bea"})
        assert (await pages_.ask("POST", token, b"List-Unsubscribe=One-Click", **FORM)).status_code == 404
        assert await kept.count_documents({}) == 0

    run(work)
