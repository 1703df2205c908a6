"""Notifications on a real Mongo and a real mail server: each once for ever, and none of what is not so any more."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

import pytest

from api.mail.notices import NoticeMails
from api.mail.sender import MailSender, Reason
from connectors.errors import Unavailable
from connectors.mail.transport import SmtpServer, SmtpTransport
from connectors.mongo.accounts import Accounts, forgetting, user_document
from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.client import Client, connect
from connectors.mongo.mail_queue import MailQueue
from connectors.mongo.notifications import Notifications
from connectors.mongo.sagas.documents import inbox_id, order_document
from connectors.mongo.sagas.notifications import NotificationRepository
from connectors.mongo.sagas.steps import SagaSteps
from marketplace.collections import (
    INBOX,
    LINKS,
    MAILS,
    MEMBERSHIPS,
    NOTIFICATION_PREFERENCES,
    NOTIFICATIONS,
    ORDERS,
    OUTBOX,
    PRODUCTS,
    STOCK,
    STORES,
    USERS,
)
from marketplace.errors import Reject
from marketplace.identity.accounts import Mail, User
from marketplace.notifications.preferences import Preferences
from marketplace.sagas.events import Event, EventType
from marketplace.sagas.order_state import Order
from marketplace.sagas.order_state import Reason as Why
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from saga_consumers.consumer import Absent
from saga_consumers.notifications.store import NotificationsStore
from saga_consumers.sweeps import SomeFailed
from tests.kits.notifications import BUYER, OWNER, PLACED, PLACED_MS, STORE, Story, confirmed, order, stories
from tests.kits.smtp_server import Inbox, smtp_server
from tests.kits.stack import polled

COLLECTIONS = (
    USERS, LINKS, STORES, MEMBERSHIPS, PRODUCTS, ORDERS, STOCK, INBOX, OUTBOX, MAILS, NOTIFICATIONS,
    NOTIFICATION_PREFERENCES,
)  # fmt: skip
SHOP_URL, STORE_URL = "https://market.example/shop", "https://market.example"
SECOND_OWNER, MANAGER = "olga", "max"


@dataclass
class Clock:
    now: datetime = PLACED

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Market:
    """A database with a store and its people, the consumer of notifications, and who sends mails."""

    client: Client
    url: str
    database: str
    inbox: Inbox
    clock: Clock = field(default_factory=Clock)
    given_up: list[Reason] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mongo = self.client[self.database]
        self.store = self.worker()

    def worker(self, client: Client | None = None) -> NotificationsStore:
        """A further process of the consumer."""
        mongo = client or self.client
        steps = SagaSteps(mongo, self.database, "notifications")
        return NotificationsStore(steps, NotificationRepository(mongo, self.database))

    def is_now(self, known: Order) -> None:
        """Write an order as it is."""
        document = order_document(known, PLACED_MS)
        self.mongo[ORDERS.name].replace_one({"_id": known.id}, document, upsert=True)

    def handles(self, event: Event, known: Order | None = None) -> bool:
        """Handle an event, with the order as it is by then."""
        if known is not None:
            self.is_now(known)
        return self.store.handle(event, self.clock.now)

    def tell(self, story: Story) -> None:
        """Handle all events of an order, each at once."""
        for event, known in story.heard:
            self.handles(event, known)
        self.is_now(story.order)

    def tell_late(self, story: Story) -> None:
        """Handle all events of an order when it has ended already."""
        self.is_now(story.order)
        for event in story.said:
            self.handles(event)

    def send(self) -> int:
        """Send what is due; returns how many mails were looked at."""

        async def work(client: Documents) -> int:
            looked = 0
            sender = self.sender(client)
            while await sender.send_one():
                looked += 1
            return looked

        return int(self.run(work))

    def sender(self, client: Documents) -> MailSender:
        transport = SmtpTransport(SmtpServer("127.0.0.1", self.inbox.port, encrypted=False))
        notices = NoticeMails(Notifications(client, self.database), SHOP_URL, STORE_URL)
        queue = MailQueue(client, self.database)
        return MailSender(queue, transport, "no-reply@market.example", self.clock, self.given_up.append, notices)

    def run(self, work: Callable[[Documents], Awaitable[Any]]) -> Any:
        """Work with the client of the API."""

        async def whole() -> Any:
            client = connect_async(polled(self.url))
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(whole())

    def wants(self, user: str, *, orders_by_mail: bool) -> None:
        self.run(lambda client: Notifications(client, self.database).set_preferences(user, Preferences(orders_by_mail)))

    def deletes(self, user: str) -> None:
        """The account is deleted by its owner."""

        async def work(client: Documents) -> None:
            accounts = Accounts(client, self.database, None, forgetting(Notifications(client, self.database).forget))
            notice = Mail(f"{user}@shop.example", "account_deleted", {"name": user, "link": "https://x.example"})
            assert await accounts.delete(user, 1, notice, self.clock.now)

        self.run(work)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self.mongo[NOTIFICATIONS.name].find())

    @property
    def waiting(self) -> list[tuple[str, str]]:
        """Who is to get which mail."""
        return sorted((each["user"], each["template"]) for each in self.mongo[MAILS.name].find({"user": {"$ne": None}}))

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Who got what, in order."""
        return [(str(message["To"]).partition("@")[0], str(message["Subject"])) for message in self.inbox.messages]

    def heard(self, recipient: str) -> list[str]:
        return sorted(row["template"] for row in self.rows if row["recipient"] == recipient)


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[tuple[Client, str]]:
    name = f"notifications_{uuid.uuid4().hex}"
    ensure_provisioned(
        Settings(stack.urls, PurePosixPath("unused"), name), resources=Resources(collections=COLLECTIONS)
    )
    with connect(polled(stack.urls.mongo)) as client:
        yield client, name
    with connect(stack.urls.mongo, deadline_seconds=60) as client:
        client.drop_database(name)


@pytest.fixture(scope="module")
def server() -> Iterator[Inbox]:
    with smtp_server() as running:
        yield running


@pytest.fixture
def market(stack: Stack, database: tuple[Client, str], server: Inbox) -> Market:
    client, name = database
    for collection in COLLECTIONS:
        client[name][collection.name].delete_many({})
    server.messages.clear()
    server.recipients.clear()
    server.answer = "250 OK"
    made = Market(client, stack.urls.mongo, name, server)
    people = [
        User(each, f"{each}@shop.example", each.title(), "hash", 1) for each in (BUYER, OWNER, SECOND_OWNER, MANAGER)
    ]
    made.mongo[USERS.name].insert_many([user_document(each) for each in people])
    made.mongo[STORES.name].insert_one({"_id": STORE, "title": "Ann's shop", "timezone": "Europe/Berlin"})
    roles = {OWNER: "owner", SECOND_OWNER: "owner", MANAGER: "manager"}
    made.mongo[MEMBERSHIPS.name].insert_many(
        [{"_id": f"{STORE}:{user}", "store": STORE, "user": user, "role": role} for user, role in roles.items()]
    )
    # Another store whose slug begins in the same way.
    made.mongo[MEMBERSHIPS.name].insert_one(
        {"_id": f"{STORE}2:{MANAGER}", "store": f"{STORE}2", "user": MANAGER, "role": "owner"}
    )
    return made


USUAL = ("paid after it had run out, without stock", "refunded in part and then cancelled")
"""Ways of an order that differ most; the rules themselves are tried on all of them without any part."""

WAYS = [pytest.param(name, marks=() if name in USUAL else pytest.mark.long) for name in sorted(stories())]
CONFIRMED = "Your order 9C51D06E is confirmed"
CANCELLED = "Your order 9C51D06E was cancelled"
NEW = "New order 9C51D06E"


def test_buyer_and_owners_get_one_mail_each_in_text_and_html_with_a_link_that_ends_them(market: Market) -> None:
    market.tell(stories()["confirmed"])
    assert market.send() == 3
    assert sorted(market.sent) == [("ann", NEW), ("bea", CONFIRMED), ("olga", NEW)]
    mail = next(each for each in market.inbox.messages if each["To"] == "bea@shop.example")
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "2 \N{MULTIPLICATION SIGN} Blue mug, Size: L: €25.00" in plain.get_content()
    assert "29 November 2026 at 13:00 (Berlin time)" in html.get_content()
    assert f"{SHOP_URL}/orders/{order().id}" in plain.get_content()
    to_owner = next(each for each in market.inbox.messages if each["To"] == "ann@shop.example").get_body(("plain",))
    assert to_owner is not None
    assert f"{STORE_URL}/orders?store={STORE}&order={order().id}\r\n" in to_owner.get_content()
    link = str(mail["List-Unsubscribe"])
    assert link.startswith(f"<{SHOP_URL}/unsubscribe/bea.")
    assert link.strip("<>") in plain.get_content()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert len({str(each["Message-ID"]) for each in market.inbox.messages}) == 3
    versions = {row["template"]: row["template_version"] for row in market.rows}
    assert versions == {"order_confirmed": 2, "new_order": 1}


def test_a_buyer_answers_to_the_store_and_those_of_the_store_to_nobody(market: Market) -> None:
    stores = market.mongo[STORES.name]
    stores.update_one({"_id": STORE}, {"$set": {"contact": "hello@shop.example"}})
    market.tell(stories()["confirmed"])
    market.send()
    answered = {str(each["To"]).partition("@")[0]: each["Reply-To"] for each in market.inbox.messages}
    assert {to: None if at is None else str(at) for to, at in answered.items()} == {
        "bea": "hello@shop.example", "ann": None, "olga": None,
    }  # fmt: skip


@pytest.mark.parametrize("contact", ["", "a@shop.example\nBcc: all@shop.example", None, 5])
def test_a_store_without_an_address_that_mail_can_be_sent_to_gets_no_answers(market: Market, contact: object) -> None:
    market.mongo[STORES.name].update_one({"_id": STORE}, {"$set": {"contact": contact}})
    market.tell(stories()["confirmed"])
    market.send()
    mails = [each for each in market.inbox.messages if each["To"] == "bea@shop.example"]
    assert [(each["Reply-To"], each["Bcc"], "Questions?" in each.as_string()) for each in mails] == [
        (None, None, False)
    ]


@pytest.mark.parametrize("name", WAYS)
def test_events_that_come_five_times_in_reverse_and_after_the_inbox_has_expired_are_heard_of_once(
    market: Market, name: str
) -> None:
    story = stories()[name]
    market.tell(story)
    rows, mails = market.rows, list(market.mongo[MAILS.name].find())
    assert rows
    for again in range(5):
        if again == 2:
            market.mongo[INBOX.name].delete_many({})
        for event in story.said if again % 2 else reversed(story.said):
            market.handles(event)
    assert market.rows == rows
    kept = list(market.mongo[MAILS.name].find())
    assert [each for each in kept if each not in mails] == []
    market.send()
    sent = list(market.sent)
    market.mongo[INBOX.name].delete_many({})
    market.tell_late(story)
    assert market.rows == rows
    assert (market.waiting, market.send(), market.sent) == ([], 0, sent), "a replay from the beginning sends nothing"


@pytest.mark.parametrize("name", WAYS)
def test_events_in_reverse_leave_nothing_to_send_that_is_not_so(market: Market, name: str) -> None:
    story = stories()[name]
    market.is_now(story.order)
    for event in reversed(story.said):
        market.handles(event)
    market.send()
    subjects = {subject for _, subject in market.sent}
    assert len(market.sent) == len(set(market.sent))
    assert not {CONFIRMED, CANCELLED} <= subjects
    assert ({CONFIRMED, NEW} <= subjects) is (story.order.state == "confirmed")


def test_what_was_superseded_while_the_provider_was_unavailable_for_two_hours_is_not_sent(market: Market) -> None:
    market.inbox.answer = "451 try again"
    story = stories()["confirmed"]
    market.tell(story)
    for _ in range(4):
        market.send()
        market.clock.now += timedelta(minutes=30)
    assert market.sent == []
    market.tell(story.cancels(Why.SELLER).gets_back())
    assert market.waiting == [("ann", "store_order_cancelled"), ("bea", "order_cancelled"),
                              ("olga", "store_order_cancelled")]  # fmt: skip
    market.inbox.answer = "250 OK"
    market.clock.now += timedelta(hours=1)
    market.send()
    assert sorted(market.sent) == [
        ("ann", "The order 9C51D06E was cancelled"), ("bea", CANCELLED), ("olga", "The order 9C51D06E was cancelled"),
    ]  # fmt: skip
    assert market.given_up == []
    assert "store_order_cancelled" in market.heard(f"store:{STORE}")


def test_a_mail_is_not_sent_when_its_order_has_changed_since_it_was_written(market: Market) -> None:
    story = stories()["confirmed"]
    market.tell(story)
    # Nobody has handled the cancellation yet.
    market.is_now(story.cancels().order)
    assert market.send() == 3
    assert (market.sent, market.waiting) == ([], [])


def test_a_mail_that_is_superseded_while_a_server_puts_it_off_is_not_counted_as_lost(market: Market) -> None:
    story = stories()["confirmed"]
    market.tell(story)
    market.mongo[MAILS.name].delete_many({"user": {"$ne": BUYER}})

    async def work(client: Documents) -> None:
        sender = market.sender(client)
        waiting = await sender._queue.take(market.clock.now)
        assert waiting is not None
        market.tell(story.cancels().gets_back())
        assert await sender._put_off(waiting)

    market.run(work)
    assert market.given_up == []

    market.send()
    assert ("bea", CONFIRMED) not in market.sent


def test_a_flood_after_an_outage_of_the_consumer_says_how_each_order_ended_and_nothing_else(market: Market) -> None:
    for story in (stories()[name] for name in (*USUAL, "confirmed")):
        market.mongo[INBOX.name].delete_many({})
        market.mongo[NOTIFICATIONS.name].delete_many({})
        market.mongo[MAILS.name].delete_many({})
        market.inbox.messages.clear()
        market.tell_late(story)
        market.send()
        buyer = [subject for to, subject in market.sent if to == BUYER]
        if story.order.state == "cancelled":
            assert buyer == [CANCELLED]
            assert [to for to, _ in market.sent if to != BUYER] == []
        else:
            assert buyer[0] == CONFIRMED
            assert CANCELLED not in buyer


def test_an_account_that_is_deleted_gets_nothing_and_leaves_nothing(market: Market) -> None:
    story = stories()["confirmed"]
    market.tell(story)
    market.deletes(BUYER)
    assert market.heard(f"user:{BUYER}") == []
    assert market.mongo[NOTIFICATION_PREFERENCES.name].count_documents({}) == 0
    market.tell(story.cancels().gets_back())
    market.mongo[INBOX.name].delete_many({})
    market.tell_late(story)
    market.send()
    assert {to for to, subject in market.sent if "order" in subject.lower()} == {"ann", "olga"}
    assert market.heard(f"user:{BUYER}") == []


def test_an_account_that_is_deleted_between_writing_and_sending_a_mail_gets_none(market: Market) -> None:
    market.tell(stories()["confirmed"])
    market.mongo[USERS.name].delete_one({"_id": BUYER})
    market.send()
    assert {to for to, _ in market.sent} == {"ann", "olga"}
    assert market.mongo[NOTIFICATION_PREFERENCES.name].find_one({"_id": BUYER}) is None


def test_mails_go_to_the_address_that_an_account_has_when_they_are_sent(market: Market) -> None:
    market.tell(stories()["confirmed"])
    market.mongo[USERS.name].update_one({"_id": BUYER}, {"$set": {"email": "new@shop.example"}})
    market.send()
    assert ["new@shop.example"] in market.inbox.recipients
    assert ["bea@shop.example"] not in market.inbox.recipients


def test_who_wants_no_mails_about_orders_gets_none_and_hears_of_them_in_the_app(market: Market) -> None:
    market.wants(BUYER, orders_by_mail=False)
    story = stories()["confirmed"]
    market.tell(story)
    assert ("bea", "order_confirmed") not in market.waiting
    market.wants(OWNER, orders_by_mail=False)
    market.send()
    assert market.sent == [("olga", NEW)]
    assert market.heard(f"user:{BUYER}") == ["order_confirmed"]
    market.wants(BUYER, orders_by_mail=True)
    market.wants(OWNER, orders_by_mail=True)
    market.mongo[INBOX.name].delete_many({})
    market.tell_late(story)
    assert market.send() == 0, "what was not wanted then does not come later"


def test_mails_about_accounts_do_not_wait_behind_a_flood_of_mails_about_orders(market: Market) -> None:
    market.tell(stories()["confirmed"])

    async def work(client: Documents) -> None:
        mail = Mail("max@shop.example", "no_account", {"link": "https://market.example/register"})
        await Accounts(client, market.database).send(mail, market.clock.now)
        assert await market.sender(client).send_one()

    market.run(work)
    assert [to for to, _ in market.sent] == ["max"]
    assert market.send() == 3


def test_a_deletion_that_is_under_way_while_an_event_is_handled_wins(market: Market) -> None:
    story = stories()["declined"]
    market.is_now(story.order)
    with ThreadPoolExecutor(1) as thread, market.client.start_session() as session:
        session.start_transaction()
        market.mongo[USERS.name].delete_one({"_id": BUYER}, session=session)
        handling = thread.submit(market.handles, story.said[-1])
        with suppress(TimeoutError):
            handling.result(0.3)
        session.commit_transaction()
        assert handling.result(20)
    assert (market.rows, market.waiting) == ([], [])


def test_what_a_later_version_has_written_stops_nobody(market: Market) -> None:
    story = stories()["cancelled by its buyer"]
    market.tell(confirmed())
    row, mail = market.rows[0], market.mongo[MAILS.name].find_one({"user": BUYER})
    assert mail is not None
    market.mongo[NOTIFICATIONS.name].insert_one({**row, "_id": "later", "template": "order_arrives_tomorrow"})
    market.mongo[MAILS.name].insert_one(
        {**mail, "_id": "later", "notice": "later", "template": "order_arrives_tomorrow"}
    )
    market.tell(story)
    market.send()
    assert CANCELLED in [subject for _, subject in market.sent]
    assert market.mongo[MAILS.name].count_documents({}) == 1, "it waits for a process that knows it"


def test_mails_about_the_account_itself_come_whatever_is_wanted(market: Market) -> None:
    market.wants(BUYER, orders_by_mail=False)

    async def work(client: Documents) -> None:
        mail = Mail("bea@shop.example", "password_changed", {"name": "Bea", "link": "https://market.example/reset"})
        await Accounts(client, market.database).send(mail, market.clock.now)

    market.run(work)
    market.send()
    assert market.sent == [("bea", "Your password was changed")]


def test_who_owns_a_store_no_more_or_is_banned_gets_no_mail_about_it(market: Market) -> None:
    market.tell(stories()["confirmed"])
    market.mongo[MEMBERSHIPS.name].update_one({"_id": f"{STORE}:{OWNER}"}, {"$set": {"role": "analyst"}})
    market.mongo[USERS.name].update_one({"_id": SECOND_OWNER}, {"$set": {"banned": True}})
    market.send()
    assert market.sent == [("bea", CONFIRMED)]


def test_one_address_that_is_refused_touches_nobody_else(market: Market) -> None:
    market.mongo[USERS.name].update_one({"_id": OWNER}, {"$set": {"email": "no..address@shop.example"}})
    market.tell(stories()["confirmed"])
    market.send()
    assert sorted(market.sent) == [("bea", CONFIRMED), ("olga", NEW)]
    market.inbox.answer = "550 no such user"
    market.clock.now += timedelta(minutes=1)
    market.tell(stories()["confirmed"].refunds({2: 1}).gets_back())
    market.send()
    assert market.given_up == ["refused"]
    assert len(market.sent) == 2


def test_a_mail_whose_sender_died_after_the_server_took_it_comes_again_with_the_same_id(market: Market) -> None:
    market.tell(stories()["declined"])

    async def dies(client: Documents) -> None:
        sender = market.sender(client)
        waiting = await sender._queue.take(market.clock.now)
        assert waiting is not None
        message = await sender._prepared(waiting)
        assert message is not None
        await sender._transport.send(message)

    market.run(dies)
    market.clock.now += timedelta(minutes=2)
    market.send()
    assert market.sent == [("bea", CANCELLED)] * 2
    assert len({str(each["Message-ID"]) for each in market.inbox.messages}) == 1
    assert market.send() == 0


def test_many_workers_with_one_event_write_it_once(stack: Stack, market: Market) -> None:
    story = stories()["confirmed"]
    market.is_now(story.order)
    event = next(each for each in story.said if each.type is EventType.ORDER_CONFIRMED)
    together = threading.Barrier(6)

    def handle(worker: NotificationsStore) -> bool:
        together.wait(10)
        return worker.handle(event, market.clock.now)

    clients = [connect(polled(stack.urls.mongo)) for _ in range(6)]
    try:
        with ThreadPoolExecutor(6) as threads:
            done = list(threads.map(handle, [market.worker(client) for client in clients]))
    finally:
        for client in clients:
            client.close()
    assert sorted(done) == [False] * 5 + [True]
    market.send()
    assert sorted(market.sent) == [("ann", NEW), ("bea", CONFIRMED), ("olga", NEW)]


def test_a_transaction_that_is_not_committed_says_nothing_to_anybody(market: Market) -> None:
    story = stories()["confirmed"]
    market.is_now(story.order)
    event = next(each for each in story.said if each.type is EventType.ORDER_CONFIRMED)
    rows = NotificationRepository(market.client, market.database)

    class Dies(RuntimeError):
        """The process ends here."""

    for after in range(1, 3):
        left = after

        def put(*given: Any, rows: NotificationRepository = rows) -> bool:
            nonlocal left
            left -= 1
            done = NotificationRepository.put(rows, *given)
            if left == 0:
                raise Dies
            return done

        broken = NotificationRepository(market.client, market.database)
        object.__setattr__(broken, "put", put)
        with pytest.raises(Dies):
            NotificationsStore(SagaSteps(market.client, market.database, "notifications"), broken).handle(
                event, market.clock.now
            )
        assert (market.rows, market.waiting) == ([], [])
        assert market.mongo[INBOX.name].find_one({"_id": inbox_id("notifications", event.id)}) is None
    assert market.handles(event)
    assert len(market.rows) == 2


def test_an_event_of_an_order_that_is_not_there_is_tried_again_and_one_of_another_store_is_refused(
    market: Market,
) -> None:
    story = stories()["confirmed"]
    event = story.said[-1]
    with pytest.raises(Absent):
        market.handles(event)
    with pytest.raises(Absent):
        market.handles(event, story.was[0])
    with pytest.raises(Reject):
        market.handles(Event(event.id, event.type, event.order, "other", event.at_ms, event.payload), story.order)
    assert (market.rows, market.mongo[INBOX.name].count_documents({})) == ([], 0)


def test_events_that_nobody_hears_of_leave_no_trace(market: Market) -> None:
    story = stories()["confirmed"]
    market.is_now(story.order)
    for event in story.said:
        if event.type is not EventType.ORDER_CONFIRMED:
            assert market.handles(event)
    assert (market.rows, market.mongo[INBOX.name].count_documents({})) == ([], 0)


class Stock:
    """The stock of a variant, as whoever changes it writes it."""

    def __init__(self, market: Market, variant: str = "v1", **fields: Any) -> None:
        self.market, self.variant, self.at = market, variant, 1
        market.mongo[PRODUCTS.name].replace_one(
            {"_id": f"p-{variant}"},
            {"store": STORE, "title": "Blue mug", "slug": f"blue-mug-{variant}", "skus": [variant],
             "variants": [{"id": variant, "sku": "MUG", "values": ["L"]}]},
            upsert=True,
        )  # fmt: skip
        document = {
            "store": STORE,
            "product": f"p-{variant}",
            "on_hand": 9,
            "reserved": 0,
            "low_at": 3,
            "changed_at_ms": 1,
        }
        market.mongo[STOCK.name].insert_one({"_id": variant, **document, **fields})

    def becomes(self, **fields: Any) -> None:
        self.at += 1
        change = {**fields, "changed_at_ms": PLACED_MS + self.at}
        self.market.mongo[STOCK.name].update_one({"_id": self.variant}, {"$set": change})

    def alerts(self, look: NotificationsStore | None = None) -> int:
        """Sweep until there is nothing to do; how many notifications there are then."""
        self.market.clock.now += timedelta(seconds=2)
        while (look or self.market.store).sweep(self.market.clock.now):
            pass
        return len(self.market.heard(f"store:{STORE}"))


def test_a_store_hears_once_of_each_time_that_its_stock_falls_to_where_it_is_low(market: Market) -> None:
    stock = Stock(market)
    assert stock.alerts() == 0
    stock.becomes(on_hand=9, reserved=5)
    assert stock.alerts() == 0
    stock.becomes(reserved=6)
    assert stock.alerts() == 1
    for count in (7, 9, 6):
        stock.becomes(reserved=count)
        assert stock.alerts() == 1
        assert stock.alerts(market.worker()) == 1, "another process, or one that was started again"
    stock.becomes(reserved=5)
    assert stock.alerts() == 1
    stock.becomes(on_hand=4)
    assert stock.alerts() == 2
    market.send()
    subjects = ("Low stock of Blue mug L", "No stock left of Blue mug L")
    assert sorted(market.sent) == sorted((owner, subject) for owner in ("ann", "olga") for subject in subjects)
    texts = [row["facts"] for row in market.rows]
    assert {(text["title"], text["options"], text["sku"]) for text in texts} == {("Blue mug", "L", "MUG")}


def test_stock_that_nobody_wants_to_hear_of_is_never_low(market: Market) -> None:
    stock = Stock(market, low_at=None, on_hand=0)
    assert stock.alerts() == 0
    stock.becomes(low_at=0)
    assert stock.alerts() == 1
    stock.becomes(low_at=None)
    assert stock.alerts() == 1
    stock.becomes(low_at=0)
    assert stock.alerts() == 2


def test_workers_that_look_at_one_time_notify_of_a_fall_once(stack: Stack, market: Market) -> None:
    stocks = [Stock(market, f"v{at}", on_hand=2) for at in range(4)]
    together = threading.Barrier(3)

    def sweep(worker: NotificationsStore) -> None:
        together.wait(10)
        while worker.sweep(market.clock.now):
            pass

    clients = [connect(polled(stack.urls.mongo)) for _ in range(3)]
    try:
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(sweep, [market.worker(client) for client in clients]))
    finally:
        for client in clients:
            client.close()
    assert stocks[0].alerts() == 4


def test_more_changes_of_stock_than_one_sweep_reads_are_all_seen_and_late_ones_too(market: Market) -> None:
    rows = [
        {"_id": f"w{at:04}", "store": STORE, "on_hand": 5, "reserved": 0, "low_at": 1, "changed_at_ms": 5}
        for at in range(420)
    ]
    market.mongo[STOCK.name].insert_many(rows)
    stock = Stock(market, on_hand=1, changed_at_ms=PLACED_MS)
    assert stock.alerts() == 1
    # It began earlier than what was seen, and was committed later.
    market.mongo[STOCK.name].update_one({"_id": "w0001"}, {"$set": {"on_hand": 0, "changed_at_ms": PLACED_MS - 3_000}})
    assert stock.alerts() == 2


class Goods:
    """The goods of an order, as its seller says it."""

    def __init__(self, market: Market) -> None:
        self.market, self.at = market, 0
        market.is_now(confirmed().order)

    def are(self, state: str, tracking: str = "", at_ms: int = 0) -> None:
        self.at += 1
        way = {"state": state, "carrier": "DHL", "tracking": tracking, "changed_at_ms": at_ms or PLACED_MS + self.at}
        self.market.mongo[ORDERS.name].update_one({"_id": confirmed().order.id}, {"$set": {"fulfilment": way}})

    def hears(self, look: NotificationsStore | None = None) -> int:
        self.market.clock.now += timedelta(seconds=2)
        while (look or self.market.store).sweep(self.market.clock.now):
            pass
        return self.market.heard(f"user:{BUYER}").count("order_shipped")


def test_a_buyer_hears_once_that_the_goods_are_on_the_way(market: Market) -> None:
    goods = Goods(market)
    for state in ("unfulfilled", "packed"):
        goods.are(state)
        assert goods.hears() == 0
    goods.are("shipped", "00340434161094042557")
    assert goods.hears() == 1
    goods.are("shipped", "00340434161094042558")
    goods.are("delivered", "00340434161094042558")
    assert goods.hears() == 1
    assert goods.hears(market.worker()) == 1, "another process, or one that was started again"
    market.send()
    assert market.sent == [("bea", "Your order 9C51D06E is on the way")]
    assert "00340434161094042557" in str(market.inbox.messages[0].get_body(("plain",)))


def test_rows_that_cannot_be_read_keep_nobody_else_from_hearing_of_stock_or_goods(market: Market) -> None:
    """Their own notification is written as soon as they can be read."""
    goods, broken = Goods(market), "0" * 32
    document = market.mongo[ORDERS.name].find_one({"_id": confirmed().order.id}) or {}
    for name in ("v0", "v9"):
        Stock(market, name, on_hand=1, changed_at_ms=PLACED_MS)
    market.mongo[STOCK.name].update_one({"_id": "v0"}, {"$set": {"reserved": "none"}})
    goods.are("shipped")
    market.mongo[ORDERS.name].insert_one(
        {**document, "_id": broken, "lines": "?", "fulfilment": {"state": "shipped", "changed_at_ms": PLACED_MS}}
    )

    for _ in range(2):
        with pytest.raises(SomeFailed, match=r"stock v0: ValueError.*; .*order 0000"):
            market.store.sweep(market.clock.now)
    assert (market.heard(f"store:{STORE}"), market.heard(f"user:{BUYER}")) == (["low_stock"], ["order_shipped"])

    market.clock.now += timedelta(days=1)
    market.mongo[STOCK.name].update_one({"_id": "v0"}, {"$set": {"reserved": 0}})
    market.mongo[ORDERS.name].update_one({"_id": broken}, {"$set": {"lines": document["lines"]}})
    assert market.store.sweep(market.clock.now) == 2


def test_of_goods_of_an_order_that_ends_nobody_hears_that_they_are_on_the_way(market: Market) -> None:
    goods = Goods(market)
    goods.are("shipped")
    assert goods.hears() == 1
    refunded = confirmed().refunds({1: 2, 2: 1}).order
    document = market.mongo[ORDERS.name].find_one({"_id": refunded.id})
    market.mongo[ORDERS.name].replace_one({"_id": refunded.id}, order_document(refunded, PLACED_MS, document))
    market.send()
    assert market.sent == []
    market.mongo[NOTIFICATIONS.name].delete_many({})
    assert goods.hears(market.worker()) == 0


def test_what_was_sent_while_nobody_looked_is_heard_of_for_a_week(market: Market) -> None:
    goods = Goods(market)
    market.clock.now += timedelta(days=6)
    goods.are("shipped", at_ms=PLACED_MS)
    assert goods.hears() == 1
    market.mongo[NOTIFICATIONS.name].delete_many({})
    market.clock.now += timedelta(days=2)
    assert goods.hears(market.worker()) == 0


def test_a_mongo_that_does_not_answer_is_unavailable() -> None:
    with connect("mongodb://127.0.0.1:9/?directConnection=true", deadline_seconds=0.3) as client:
        steps = SagaSteps(client, "nothing", "notifications")
        store = NotificationsStore(steps, NotificationRepository(client, "nothing"))
        with pytest.raises(Unavailable):
            store.sweep(PLACED)
