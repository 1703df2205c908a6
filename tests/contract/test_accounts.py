"""Accounts in Mongo: an address is proved before there is an account, and a link is used once."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

import pytest

from connectors.errors import Unavailable
from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.client import connect
from marketplace.collections import LINKS, MAILS, USERS
from marketplace.identity.accounts import LINK_SECONDS, LinkKind, Mail, Registration, User
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.stack import polled
from tests.kits.tcp_proxy import TcpProxy

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
ANN = Registration("Ann@Shop.example", "Ann", "$argon2id$hash-of-ann")
MAIL = Mail("ann@shop.example", "confirm", {"link": "https://shop.example/confirm#secret"})

ANNS = {"security_stamp": 1}
"""What a link of the account says that was never changed."""


def notice(user: User) -> Mail:
    return Mail(user.email, "password_changed", {"name": user.name, "link": "https://shop.example"})


Work = Callable[[Accounts, Documents], Awaitable[None]]


@pytest.fixture(scope="module")
def database(stack: Stack) -> Any:
    name = f"accounts_{uuid.uuid4().hex}"
    urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
    resources = Resources(collections=(USERS, LINKS, MAILS))
    ensure_provisioned(Settings(urls, PurePosixPath("unused"), name), resources=resources)
    yield name
    client = connect(stack.urls.mongo)
    client.drop_database(name)
    client.close()


@pytest.fixture
def run(stack: Stack, database: str) -> Callable[[Work], None]:
    """Run work on empty collections, in an event loop of its own."""

    async def whole(work: Work) -> None:
        client = connect_async(polled(stack.urls.mongo))
        try:
            for collection in (USERS, LINKS, MAILS):
                await client[database][collection.name].delete_many({})
            await work(Accounts(client, database), client)
        finally:
            await client.close()

    return lambda work: asyncio.run(whole(work))


async def make_ann(accounts: Accounts) -> User:
    await accounts.register(ANN, "link-of-ann", MAIL, NOW)
    made = await accounts.confirm_registration("link-of-ann", "user-ann", NOW)
    assert made is not None
    return made


def test_there_is_no_account_before_its_address_is_proved(run: Callable[[Work], None], database: str) -> None:
    async def work(accounts: Accounts, client: Documents) -> None:
        await accounts.register(ANN, "link-1", MAIL, NOW)
        assert await accounts.by_email("ann@shop.example") is None
        waiting = await client[database][MAILS.name].find_one()
        assert waiting is not None
        assert (waiting["to"], waiting["template"], waiting["values"]) == (MAIL.to, MAIL.template, MAIL.values)

        made = await accounts.confirm_registration("link-1", "user-1", NOW)
        assert made == User("user-1", ANN.email, "Ann", ANN.password_hash, int(NOW.timestamp() * 1000))
        assert await accounts.get("user-1") == made
        assert await accounts.by_email("ANN@SHOP.EXAMPLE") == made

    run(work)


def test_a_link_is_used_once_however_many_follow_it_at_one_time(run: Callable[[Work], None]) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        await accounts.register(ANN, "link-1", MAIL, NOW)
        calls = (accounts.confirm_registration("link-1", f"user-{number}", NOW) for number in range(10))
        made = [each for each in await asyncio.gather(*calls) if each is not None]
        assert len(made) == 1
        assert await accounts.by_email(ANN.email) == made[0]
        assert await accounts.confirm_registration("link-1", "user-x", NOW) is None

    run(work)


def test_of_two_registrations_of_an_address_the_one_that_is_proved_first_counts(run: Callable[[Work], None]) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        await accounts.register(Registration("ann@shop.example", "Mallory", "hash-of-mallory"), "link-m", MAIL, NOW)
        await accounts.register(ANN, "link-a", MAIL, NOW)
        made = await accounts.confirm_registration("link-a", "user-a", NOW)
        assert made is not None
        assert made.password_hash == ANN.password_hash
        assert await accounts.confirm_registration("link-m", "user-m", NOW) is None
        await accounts.register(Registration("ann@shop.example", "Mallory", "hash-of-mallory"), "link-n", MAIL, NOW)
        assert await accounts.confirm_registration("link-n", "user-n", NOW) is None
        assert await accounts.by_email(ANN.email) == made

    run(work)


@pytest.mark.parametrize("kind", [LinkKind.REGISTRATION, LinkKind.RESET])
def test_a_link_that_has_expired_is_worth_nothing_although_it_is_still_stored(
    run: Callable[[Work], None], kind: LinkKind
) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        end = NOW + timedelta(seconds=LINK_SECONDS[kind])
        before = end - timedelta(milliseconds=1)
        if kind is LinkKind.REGISTRATION:
            await accounts.register(ANN, "late", MAIL, NOW)
            assert await accounts.confirm_registration("late", "user-1", end) is None
            assert await accounts.confirm_registration("late", "user-1", before) is not None
        else:
            await make_ann(accounts)
            await accounts.send_link(kind, "late", "user-ann", ANNS, MAIL, NOW)
            assert await accounts.reset_password("late", "new hash", notice, end) is None
            assert await accounts.reset_password("late", "new hash", notice, before) is not None

    run(work)


def test_a_link_of_one_kind_is_worth_nothing_for_another(run: Callable[[Work], None]) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        await make_ann(accounts)
        await accounts.send_link(
            LinkKind.EMAIL_CHANGE, "change", "user-ann", {**ANNS, "email": "a@b.example"}, MAIL, NOW
        )
        await accounts.send_link(LinkKind.RESET, "reset", "user-ann", ANNS, MAIL, NOW)
        assert await accounts.reset_password("change", "new hash", notice, NOW) is None
        assert await accounts.confirm_registration("reset", "user-x", NOW) is None
        assert await accounts.reset_password("reset", "new hash", notice, NOW) is not None

    run(work)


CHANGES: dict[str, Callable[[Accounts, User], Awaitable[object]]] = {
    "reset": lambda accounts, user: accounts.reset_password("used-reset", "new hash", notice, NOW),
    "change": lambda accounts, user: accounts.change_password(user.id, user.security_stamp, "new hash", MAIL, NOW),
    "e-mail change": lambda accounts, user: accounts.change_email("used-change", MAIL, NOW),
    "end of all": lambda accounts, user: accounts.end_all(user.id, user.security_stamp),
    "ban": lambda accounts, user: accounts.set_banned(user.id, banned=True),
    "deletion": lambda accounts, user: accounts.delete(user.id, user.security_stamp, MAIL, NOW),
}


async def send_links(accounts: Accounts, prefix: str, security_stamp: int = 1) -> None:
    """A link of each kind to Ann."""
    data = {"security_stamp": security_stamp}
    await accounts.send_link(LinkKind.RESET, f"{prefix}-reset", "user-ann", data, MAIL, NOW)
    change = {**data, "email": f"{prefix}@new.example"}
    await accounts.send_link(LinkKind.EMAIL_CHANGE, f"{prefix}-change", "user-ann", change, MAIL, NOW)


@pytest.mark.parametrize("event", CHANGES)
def test_whatever_ends_what_was_given_out_ends_links_that_were_sent_and_that_are_being_sent(
    run: Callable[[Work], None], event: str
) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        before = await make_ann(accounts)
        await send_links(accounts, "older")
        await send_links(accounts, "used")
        assert await CHANGES[event](accounts, before)
        # What began before the event is written after it.
        await send_links(accounts, "late", before.security_stamp)
        for prefix in ("older", "late"):
            assert await accounts.reset_password(f"{prefix}-reset", "hash of mallory", notice, NOW) is None
            assert await accounts.change_email(f"{prefix}-change", MAIL, NOW) is None
        after = await accounts.get("user-ann")
        if event == "deletion":
            assert after is None
        else:
            assert after is not None
            assert after.security_stamp == before.security_stamp + 1
            await send_links(accounts, "newer", after.security_stamp)
            assert await accounts.reset_password("newer-reset", "newest hash", notice, NOW) is not None

    run(work)


def test_of_changes_that_were_decided_at_one_time_one_is_made(run: Callable[[Work], None]) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        ann = await make_ann(accounts)
        changes = (accounts.change_password("user-ann", ann.security_stamp, f"hash {n}", MAIL, NOW) for n in range(8))
        made = [each for each in await asyncio.gather(*changes) if each is not None]
        assert len(made) == 1
        assert await accounts.get("user-ann") == made[0]
        assert not await accounts.delete("user-ann", ann.security_stamp, MAIL, NOW)
        assert await accounts.end_all("user-ann", ann.security_stamp) is None

    run(work)


def test_a_changed_address_is_the_accounts_and_the_former_one_is_free_and_gets_the_notice(
    run: Callable[[Work], None], database: str
) -> None:
    async def work(accounts: Accounts, client: Documents) -> None:
        await make_ann(accounts)
        await send_links(accounts, "used")
        changed = await accounts.change_email("used-change", Mail("", "address_changed", {"link": "x"}), NOW)
        assert changed is not None
        assert (changed.id, changed.email) == ("user-ann", "used@new.example")
        assert await accounts.by_email("USED@new.example") == changed
        assert await accounts.by_email(ANN.email) is None
        sent = await client[database][MAILS.name].find_one({"template": "address_changed"})
        assert sent is not None
        assert (sent["to"], sent["values"]) == (ANN.email, {"link": "x", "name": "Ann"})
        await accounts.register(ANN, "again", MAIL, NOW)
        assert await accounts.confirm_registration("again", "user-2", NOW) is not None

    run(work)


def test_an_address_that_was_taken_meanwhile_stays_with_who_has_it(run: Callable[[Work], None]) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        ann = await make_ann(accounts)
        await send_links(accounts, "used")
        await accounts.register(Registration("used@new.example", "Bob", "hash of bob"), "bob", MAIL, NOW)
        bob = await accounts.confirm_registration("bob", "user-bob", NOW)
        assert await accounts.change_email("used-change", MAIL, NOW) is None
        assert await accounts.by_email("used@new.example") == bob
        assert await accounts.get("user-ann") == ann

    run(work)


def test_a_deleted_account_leaves_nothing_and_its_address_is_free(run: Callable[[Work], None], database: str) -> None:
    async def work(accounts: Accounts, client: Documents) -> None:
        ann = await make_ann(accounts)
        await accounts.register(Registration(ANN.email, "Mallory", "hash of mallory"), "waiting", MAIL, NOW)
        await send_links(accounts, "older")
        assert await accounts.delete("user-ann", ann.security_stamp, MAIL, NOW)
        assert not await accounts.delete("user-ann", ann.security_stamp, MAIL, NOW)
        assert await client[database][USERS.name].count_documents({}) == 0
        assert await client[database][LINKS.name].count_documents({}) == 0
        assert await accounts.confirm_registration("waiting", "user-m", NOW) is None
        await accounts.register(ANN, "again", MAIL, NOW)
        assert await accounts.confirm_registration("again", "user-2", NOW) is not None

    run(work)


def test_an_admin_is_made_and_unmade_and_nothing_else_of_the_account_changes(run: Callable[[Work], None]) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        ann = await make_ann(accounts)
        assert not await accounts.has_admin()
        assert await accounts.set_admin("user-ann", admin=True) == replace(ann, admin=True)
        assert await accounts.has_admin()
        assert await accounts.set_admin("user-ann", admin=False) == ann
        assert await accounts.set_admin("user-x", admin=True) is None

    run(work)


def test_a_hash_is_raised_unless_the_password_was_changed_meanwhile(run: Callable[[Work], None]) -> None:
    async def work(accounts: Accounts, _: Documents) -> None:
        made = await make_ann(accounts)
        await accounts.raise_hash("user-ann", made.password_hash, "stronger hash")
        await accounts.raise_hash("user-ann", made.password_hash, "too late")
        raised = await accounts.get("user-ann")
        assert raised is not None
        assert (raised.password_hash, raised.security_stamp) == ("stronger hash", made.security_stamp)

    run(work)


def test_while_mongo_hangs_every_question_is_unavailable_within_seconds(stack: Stack) -> None:
    async def seconds_of(call: Awaitable[object]) -> float:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="Mongo does not answer"):
            await call
        return time.monotonic() - began

    async def work(url: str) -> None:
        client = connect_async(url)
        accounts = Accounts(client, "nowhere")
        taken = await asyncio.gather(
            seconds_of(accounts.get("user-1")),
            seconds_of(accounts.by_email(ANN.email)),
            seconds_of(accounts.register(ANN, "link", MAIL, NOW)),
            seconds_of(accounts.confirm_registration("link", "user-1", NOW)),
        )
        assert max(taken) < 4
        await client.close()

    with closing(TcpProxy(stack.urls.mongo)) as proxy:
        proxy.open()
        proxy.freeze()
        asyncio.run(work(proxy.url))
