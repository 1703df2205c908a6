"""``marketplace consumers``: what an operator sees of events that were rejected, and what they decide about them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from connectors.mongo.sagas.parking import ParkedEvents
from marketplace.errors import Reject
from ops.cli import make_app
from ops.stack import Stack
from saga_consumers.orders import store as orders
from saga_consumers.records import RecordHandler
from saga_consumers.registry import CONSUMERS
from tests.kits.sagas import Shop, consumed, record_of, saga_database


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    with saga_database(stack) as made:
        yield made


@pytest.fixture
def shop(database: tuple[MongoClient[dict[str, Any]], str]) -> Shop:
    return Shop(*database)


def run(*arguments: str, **variables: str) -> Result:
    none = {name: None for name in os.environ if name.startswith("MARKETPLACE_")}
    return CliRunner().invoke(make_app(arguments), arguments, env={**none, **variables})


def asked(stack: Stack, shop: Shop, *arguments: str) -> Result:
    variables = {"MARKETPLACE_MONGO_URL": stack.urls.mongo, "MARKETPLACE_DATABASE": shop.database}
    return run("consumers", *arguments, **variables)


def paid_behind_poison(shop: Shop) -> str:
    """An order whose payment waits behind an event that nobody knows."""
    own = shop.place({shop.sells(5): 1})
    first = shop.rows(own)[0]
    payload = '{"payment":"p","amount_minor":1250,"currency":"EUR"}'
    rows = [
        {**first, "ce_id": f"{own}:x:1:0", "ce_type": "ORDER_EATEN"},
        {**first, "ce_id": f"{own}:payments:2:0", "ce_type": "PAYMENT_COMPLETED", "payload": payload},
    ]
    handle = RecordHandler(orders.consumer(shop.parts), ParkedEvents(shop.client, shop.database, "orders"))
    for offset, row in enumerate(rows):
        with suppress(Reject):
            handle(consumed(record_of(row), offset, int(own[:7], 16)))
    return own


def test_consumers_are_listed_with_their_groups_and_what_they_listen_to() -> None:
    listed = json.loads(run("consumers", "list", "--json").stdout)["consumers"]

    assert [each["name"] for each in listed] == [spec.service.value for spec in CONSUMERS]
    assert {each["name"]: each["group"] for each in listed}["orders"] == "saga.orders"
    assert "PAYMENT_COMPLETED" in listed[0]["listens"]
    assert [each["name"] for each in listed if not each["listens"]] == []
    shown = run("consumers", "list").stdout
    assert [spec.service.value for spec in CONSUMERS if spec.service.value not in shown] == []


def test_what_is_parked_is_shown_by_order_with_its_reason_and_how_many_wait(stack: Stack, shop: Shop) -> None:
    own = paid_behind_poison(shop)

    found = json.loads(asked(stack, shop, "parked", "--json").stdout)["parked"]
    mine = next(row for row in found if row["key"] == own)
    assert (mine["consumer"], mine["events"], mine["reason"]) == ("orders", 2, "unknown_type")
    each = json.loads(asked(stack, shop, "parked", "orders", "--key", own, "--json").stdout)["parked"]
    assert [row["reason"] for row in each] == ["unknown_type", "behind"]
    assert f"{own}: there is no event 'ORDER_EATEN'" in asked(stack, shop, "parked").stdout


def test_a_retry_that_fails_again_says_so_and_exits_with_1(stack: Stack, shop: Shop) -> None:
    own = paid_behind_poison(shop)

    said = asked(stack, shop, "retry", "orders", own)

    assert said.exit_code == 1
    assert said.stdout == "0 handled\nrejected again: unknown_type: there is no event 'ORDER_EATEN'\n"
    assert shop.order(own)["state"] == "pending"


def test_an_order_goes_on_when_its_poison_is_discarded_and_the_rest_retried(stack: Stack, shop: Shop) -> None:
    own = paid_behind_poison(shop)

    assert asked(stack, shop, "discard", "orders", own).stdout.startswith("1 discarded; 1 wait")
    retried = json.loads(asked(stack, shop, "retry", "orders", own, "--json").stdout)

    assert retried == {"handled": 1, "failed": None}
    assert shop.order(own)["state"] == "paid"
    assert json.loads(asked(stack, shop, "parked", "orders", "--key", own, "--json").stdout) == {"parked": []}


def test_nothing_to_discard_and_a_consumer_that_there_is_not_are_errors(stack: Stack, shop: Shop) -> None:
    for arguments, text in (
        (("discard", "orders", "no-such-order"), "nothing of 'no-such-order' is parked"),
        (("retry", "cooks", "x"), "there is no consumer 'cooks'"),
        (("run", "cooks"), "there is no consumer 'cooks'"),
    ):
        refused = asked(stack, shop, *arguments)
        assert refused.exit_code != 0
        assert text in str(refused.exception)


def test_a_service_of_an_unknown_consumer_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ops.consumer_service import main

    assert main(["cooks"]) == 2
    assert "there is no consumer 'cooks': choose from orders" in capsys.readouterr().err
