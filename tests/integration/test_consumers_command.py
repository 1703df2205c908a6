"""``marketplace consumers``: what an operator sees of events that were rejected, and what they decide about them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from connectors.mongo.sagas.parking import ParkedEvents
from marketplace.errors import Reject
from marketplace.topics import ORDERS_EVENTS
from ops.cli import make_app
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
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


def asked(stack: Stack, shop: Shop, *arguments: str, **others: str) -> Result:
    variables = {"MARKETPLACE_MONGO_URL": stack.urls.mongo, "MARKETPLACE_DATABASE": shop.database}
    return run("consumers", *arguments, **variables, **others)


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


def test_consumers_are_listed_with_what_they_have_parked_and_how_far_they_are_behind(stack: Stack, shop: Shop) -> None:
    paid_behind_poison(shop)
    settings = Settings(stack.urls, PurePosixPath("unused"), database=shop.database)
    ensure_provisioned(settings, resources=Resources(topics=(ORDERS_EVENTS,)))

    listed = json.loads(asked(stack, shop, "list", "--json", MARKETPLACE_KAFKA_URL=stack.urls.kafka).stdout)

    assert listed["problems"] == []
    assert [each for each in listed["consumers"] if each["lag"] < 0 or each["members"] < 0] == []
    parked = {each["name"]: each["parked"] for each in listed["consumers"]}
    assert parked.pop("orders") >= 2
    assert set(parked.values()) == {0}


def test_without_kafka_and_mongo_consumers_are_listed_with_a_line_that_says_what_is_not_known(tmp_path: Path) -> None:
    shown = run("consumers", "list", MARKETPLACE_DATA=str(tmp_path))

    assert shown.exit_code == 0
    assert "how they are is not known: no stack is running in" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()[1:5]]
    assert [row[2:5] for row in rows] == [["?", "?", "?"]] * 4


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


def test_an_order_is_meant_by_the_beginning_of_its_id_as_mails_show_it(stack: Stack, shop: Shop) -> None:
    own = paid_behind_poison(shop)
    code = own[:8].upper()

    parked = json.loads(asked(stack, shop, "parked", "--key", code, "--json").stdout)["parked"]
    assert {row["key"] for row in parked} == {own}
    assert asked(stack, shop, "retry", "orders", code).stdout.startswith("0 handled\nrejected again")
    assert asked(stack, shop, "discard", "orders", f"#{code}").stdout.startswith("1 discarded")


def test_an_order_of_which_nothing_is_parked_is_an_error_for_whatever_is_done_about_it(
    stack: Stack, shop: Shop
) -> None:
    own = shop.place({shop.sells(5): 1})
    for command in ("retry", "discard"):
        for name, text in ((own, f"nothing of order {own} is parked by orders"), ("0" * 32, "there is no order '0")):
            said = asked(stack, shop, command, "orders", name)
            assert (said.exit_code, said.stdout) == (1, "")
            assert text in str(said.exception)


def test_a_consumer_that_there_is_not_is_an_error(stack: Stack, shop: Shop) -> None:
    for arguments, text in (
        (("discard", "cooks", "x"), "there is no consumer 'cooks'"),
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
