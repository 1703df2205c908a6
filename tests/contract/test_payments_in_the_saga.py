"""The payments service with the others and as a process that is killed: in the end everybody's books say the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from connectors.mongo.client import connect
from marketplace.collections import PAYMENTS
from ops.stack import Stack
from saga_consumers.consumer import Parts, SagaConsumer
from saga_consumers.inventory import store as inventory
from saga_consumers.orders import store as orders
from saga_consumers.payments import consumer as payments
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.payments import Orders, Sandbox, payments_database, sandbox
from tests.kits.saga_fleet import memory_fleet
from tests.kits.sagas import PRICE, Shop, saga_database, wrong
from tests.kits.stack import ROOT, eventually, polled

CARDS = ("success", "no_funds", "error_once", "cut_once", "answer_cut", "pending_success", "refund_refused")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("provider")) as running:
        yield running


def environment(provider: Sandbox) -> dict[str, str]:
    return {
        "MARKETPLACE_PAYMENTS_URL": provider.url,
        "MARKETPLACE_PAYMENTS_SECRETS_FILE": str(provider.secrets_file),
    }


def test_orders_end_right_and_the_provider_has_what_the_ledger_says(stack: Stack, provider: Sandbox) -> None:
    with saga_database(stack) as (client, database):
        shop = Shop(client, database)
        paid_before = provider.net()
        plenty, scarce = shop.sells(len(CARDS)), shop.sells(1)
        ends = {}
        for card in CARDS:
            ends[shop.place({plenty: 1})] = card
        # Two are sold of what there is one.
        ends |= {shop.place({scarce: 1}): card for card in ("success", "refund_refused")}
        for own, card in ends.items():
            shop.mongo[PAYMENTS.name].update_one({"_id": f"p-{own}"}, {"$set": {"method": provider.method(card)}})

        def paying(parts: Parts) -> SagaConsumer:
            return payments.consumer(replace(parts, environment=environment(provider)))

        with memory_fleet(shop, times=3) as fleet:
            for make in (orders.consumer, inventory.consumer, paying):
                fleet.start(make)

            def ended() -> bool:
                # Pauses between questions are over sooner, and no order waits for so long that it is cancelled.
                shop.wait(2)
                return all(shop.order(each)["state"] in ("confirmed", "cancelled") for each in ends)

            fleet.until(ended, "all end")
            fleet.until_ended()
        states = [shop.order(each)["state"] for each in ends]
        assert wrong(shop) == []
        assert states.count("confirmed") == len(CARDS) - 1 + 1, states
        assert provider.net() - paid_before == PRICE * states.count("confirmed")


@LONG
@CHAOS
@pytest.mark.parametrize("seed", range(CHAOS_SEEDS))
def test_every_payment_is_charged_once_though_its_worker_is_killed_at_any_moment(
    stack: Stack, provider: Sandbox, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with (
        payments_database(stack) as database,
        connect(polled(stack.urls.mongo)) as client,
        closing(Orders(client, database, provider)) as placed,
    ):
        worker = placed.worker()
        made = [placed.place(chance.choice(["success", "no_funds", "error_once", "answer_cut"])) for _ in range(25)]
        for payment in made:
            worker.store.react(placed.created(payment), placed.now)

        def few(most: int) -> bool:
            return placed.undecided() <= most

        for most in (chance.randint(5, 20), 0):
            command = [sys.executable, "-m", "tests.kits.payments_process", stack.urls.mongo, database]
            with (tmp_path / "log").open("ab") as log:
                process = subprocess.Popen(
                    command, cwd=ROOT, env={**os.environ, **environment(provider)}, stdout=log, stderr=log
                )
            try:
                assert eventually(partial(few, most), 60), (tmp_path / "log").read_text()
            finally:
                process.kill()
                process.wait(10)
        for payment in made:
            did, state = provider.operations(payment.id), placed.state(payment)
            assert [(kind, status) for kind, status, _ in did] == [
                ("charge", "succeeded" if state == "completed" else "declined")
            ]
            assert placed.said(payment) == ["PAYMENT_COMPLETED" if state == "completed" else "PAYMENT_FAILED"]
            booked = placed.ledger(payment)
            assert sum(booked.values()) == 0
            assert booked.get("provider", 0) == (2_500 if state == "completed" else 0)
