"""Notifications among the other consumers of orders: duplicates, two processes, and a new group at the log's start."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from pymongo import MongoClient

from connectors.kafka.memory import MemoryGroupClient
from connectors.mongo.accounts import user_document
from connectors.mongo.client import connect
from marketplace.collections import (
    INBOX,
    MAILS,
    MEMBERSHIPS,
    NOTIFICATION_PREFERENCES,
    NOTIFICATIONS,
    STOCK,
    STORES,
    USERS,
)
from marketplace.identity.accounts import User
from marketplace.sagas.declaration import Service
from marketplace.sagas.provider_calls import Outcome
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from saga_consumers.notifications import store as notifications
from tests.kits.saga_fleet import MemoryFleet, memory_fleet
from tests.kits.sagas import COLLECTIONS, Shop
from tests.kits.stack import polled

MORE = (USERS, STORES, MEMBERSHIPS, MAILS, NOTIFICATIONS, NOTIFICATION_PREFERENCES)


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    name = f"notified_{uuid.uuid4().hex[:12]}"
    settings = Settings(stack.urls, PurePosixPath("unused"), database=name)
    ensure_provisioned(settings, resources=Resources(collections=(*COLLECTIONS, *MORE)))
    with connect(polled(stack.urls.mongo)) as client:
        for user in ("ann", "olga"):
            client[name][USERS.name].insert_one(user_document(User(user, f"{user}@shop.example", user, "hash", 1)))
        yield client, name


@pytest.fixture
def shop(database: tuple[MongoClient[dict[str, Any]], str]) -> Shop:
    made = Shop(*database)
    store = {"_id": made.name, "title": "Shop", "timezone": "UTC", "write_key_hash": made.name}
    made.mongo[STORES.name].insert_one(store)
    member = {"_id": f"{made.name}:olga", "store": made.name, "user": "olga", "role": "owner"}
    made.mongo[MEMBERSHIPS.name].insert_one(member)
    return made


def written(shop: Shop) -> Counter[tuple[str, str, str]]:
    """Order, recipient and template of each notification."""
    rows = shop.mongo[NOTIFICATIONS.name].find({"order": {"$in": shop.orders}})
    return Counter((row["order"], row["recipient"], row["template"]) for row in rows)


def mails(shop: Shop) -> Counter[tuple[str, str, str]]:
    rows = shop.mongo[MAILS.name].find({"order": {"$in": shop.orders}})
    return Counter((row["order"], row["user"], row["template"]) for row in rows)


def expected(shop: Shop, good: list[str], bad: list[str]) -> Counter[tuple[str, str, str]]:
    found = Counter[tuple[str, str, str]]()
    for own in good:
        found[own, "user:ann", "order_confirmed"] += 1
        found[own, f"store:{shop.name}", "new_order"] += 1
    found.update((own, "user:ann", "order_cancelled") for own in bad)
    return found


def placed(shop: Shop, fleet: MemoryFleet) -> tuple[list[str], list[str]]:
    """Orders that end well, and some that do not."""
    plenty, scarce = shop.sells(50), shop.sells(1)
    shop.mongo[STOCK.name].update_one({"_id": scarce}, {"$set": {"low_at": 0}})
    good = [shop.place({plenty: 2}) for _ in range(5)] + [shop.place({scarce: 1})]
    bad = [shop.place({plenty: 1}) for _ in range(2)]
    fleet.payments.outcomes.update(dict.fromkeys(bad, Outcome.DECLINED))
    return good, bad


def test_each_order_is_heard_of_once_though_events_come_five_times_to_two_processes(shop: Shop) -> None:
    with memory_fleet(shop, times=5) as fleet:
        good, bad = placed(shop, fleet)
        fleet.start_all()
        for _ in range(2):
            fleet.start(notifications.consumer)
        fleet.until_ended()
        fleet.until(lambda: fleet.caught_up(Service.NOTIFICATIONS), "all is heard")
        assert written(shop) == expected(shop, good, bad)
        about = {"recipient": f"store:{shop.name}", "template": "low_stock"}
        fleet.until(lambda: shop.mongo[NOTIFICATIONS.name].count_documents(about), "the last one is gone")
        assert shop.mongo[NOTIFICATIONS.name].count_documents(about) == 1
        assert fleet.dead_letters() == []


def test_a_new_group_that_begins_at_the_start_of_the_log_sends_nothing(shop: Shop) -> None:
    with memory_fleet(shop) as fleet:
        good, bad = placed(shop, fleet)
        fleet.start_all()
        fleet.start(notifications.consumer)
        fleet.until_ended()
        fleet.until(lambda: fleet.caught_up(Service.NOTIFICATIONS), "all is heard")
        assert mails(shop).total() == 2 * len(good) + len(bad)
        shop.mongo[MAILS.name].delete_many({})
        shop.mongo[INBOX.name].delete_many({"consumer": Service.NOTIFICATIONS.value})
        again = replace(fleet.membership(Service.NOTIFICATIONS), group="saga.notifications.again")
        fleet.start(notifications.consumer, MemoryGroupClient(fleet.broker, again))
        offsets = fleet.broker.group(again.group).offsets
        fleet.until(lambda: sum(offsets.values()) == len(fleet.log()), "all is heard again")
        assert written(shop) == expected(shop, good, bad)
        assert mails(shop).total() == 0
