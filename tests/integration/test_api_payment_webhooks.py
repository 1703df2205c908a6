"""Webhooks of payment providers by the API: nothing of one is looked into before its signature, and none is lost."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.payments.service import WebhookService
from api.web.bodies import MAX_BODY_BYTES
from connectors.mongo.async_client import connect_async
from connectors.mongo.client import connect
from connectors.payments.provider import Charge
from connectors.payments.secrets import KnownSecrets, ensure_secrets
from marketplace.collections import PAYMENT_WEBHOOKS
from ops.stack import Stack
from tests.kits.api_requests import MESSAGE, signed
from tests.kits.fuzzed_api import served
from tests.kits.payments import Orders, Recorded, payments_database, sandbox
from tests.kits.stack import eventually, polled
from tests.kits.tenancy import NOW, Work, World, tenancy_database, worlds_in_turn

PATH = "/v1/payments/webhooks/sandbox"
AT = NOW.timestamp()


@pytest.fixture(scope="module")
def run(stack: Stack) -> Iterator[Callable[[Work], None]]:
    with tenancy_database(stack) as database, worlds_in_turn(stack.urls.mongo, database) as running:
        yield running


async def send(world: World, body: bytes, signature: str | None, path: str = PATH, **headers: str) -> httpx.Response:
    given = {"content-type": "application/json", **headers}
    given |= {} if signature is None else {"webhook-signature": signature}
    return await world.ask("POST", path, content=body, headers=given)


async def kept(world: World) -> list[Any]:
    rows = await world.client[world.database][PAYMENT_WEBHOOKS.name].find().to_list()
    return sorted(rows, key=lambda row: str(row["_id"]))


async def begin(world: World) -> None:
    await world.client[world.database][PAYMENT_WEBHOOKS.name].delete_many({})


def test_a_signed_webhook_is_kept_once_with_its_exact_bytes_however_often_and_at_one_time_it_comes(
    run: Callable[[Work], None],
) -> None:
    body = b'{ "id": "evt_1",\n "type":"charge.succeeded", "amount": 1.0}\n'

    async def work(world: World) -> None:
        await begin(world)
        answers = await asyncio.gather(*(send(world, body, signed(body)) for _ in range(10)))
        assert [(each.status_code, each.json()) for each in answers] == [(200, {"taken": True})] * 10
        (row,) = await kept(world)
        assert (row["_id"], bytes(row["raw"]), row["state"]) == ("sandbox:evt_1", body, "waiting")
        assert row["due_ms"] == AT * 1_000

    run(work)


def signatures(body: bytes) -> list[tuple[str, str | None]]:
    """Signatures that are none, with what is wrong with each."""
    good = signed(body)
    time, _, digest = good.partition(",")
    return [
        ("missing", None),
        ("empty", ""),
        ("only there", "t=1"),
        ("of other bytes", signed(body + b" ")),
        ("with another secret", signed(body, secret="of another tenant")),
        ("with no secret", signed(body, secret="")),
        ("one bit off", good[:-1] + ("0" if good[-1] != "0" else "1")),
        ("of another time", f"t={AT + 1:.0f},{digest}"),
        ("six minutes old", signed(body, AT - 360)),
        ("just too old", signed(body, AT - 301)),
        ("of the future", signed(body, AT + 301)),
        ("with two times", f"t={AT:.0f},{good}"),
        ("without a time", digest),
        ("of another scheme", good.replace("v1=", "v0=")),
        ("in capital letters", f"{time},{digest.upper()}"),
        ("with a time that is none", f"t=nan,{digest}"),
        ("with a huge time", f"t={10**30},{digest}"),
        ("huge", good + ",v1=" + "0" * 5_000),
        ("twice as long", digest * 2),
    ]


def test_what_is_not_signed_well_is_refused_whatever_it_holds_and_changes_nothing(run: Callable[[Work], None]) -> None:
    async def work(world: World) -> None:
        await begin(world)
        before = await world.everything()
        for body in (MESSAGE, b"not json", b"[" * 5_000, b"\xff\x00", b""):
            for what, signature in signatures(body):
                answer = await send(world, body, signature)
                assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated"), what
        twice = [("webhook-signature", signed(MESSAGE)), ("webhook-signature", signed(MESSAGE))]
        transport = httpx.ASGITransport(world.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            headers = [("content-type", "application/json"), *twice]
            assert (await client.post(PATH, content=MESSAGE, headers=headers)).status_code == 401
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_signature_of_now_is_good_also_where_clocks_differ(run: Callable[[Work], None], seconds: int) -> None:
    async def work(world: World) -> None:
        assert (await send(world, MESSAGE, signed(MESSAGE, AT + seconds))).status_code == 200

    run(work)


def test_each_of_several_secrets_is_good_and_a_header_may_have_several_signatures(run: Callable[[Work], None]) -> None:
    async def work(world: World) -> None:
        older = signed(MESSAGE, secret="older secret")
        assert (await send(world, MESSAGE, older)).status_code == 200
        retired = signed(MESSAGE, secret="retired").partition(",")[2]
        assert (await send(world, MESSAGE, f"{older},{retired}")).status_code == 200
        assert (await send(world, MESSAGE, f"{signed(MESSAGE)},v0=x")).status_code == 200

    run(work)


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b"\xff", b'{"id": 5}', b'{"id": "a b"}', b'{"id": ""}'])
def test_what_is_signed_and_cannot_be_named_is_kept_under_its_bytes(run: Callable[[Work], None], body: bytes) -> None:
    async def work(world: World) -> None:
        await begin(world)
        for _ in range(2):
            assert (await send(world, body, signed(body))).status_code == 200
        (row,) = await kept(world)
        assert row["_id"].startswith("sandbox:sha256-")
        assert bytes(row["raw"]) == body

    run(work)


def test_nobody_else_sends_webhooks_and_none_is_larger_than_any_body(run: Callable[[Work], None]) -> None:
    async def work(world: World) -> None:
        await begin(world)
        unknown = await send(world, MESSAGE, signed(MESSAGE), "/v1/payments/webhooks/stripe")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/not-found")
        large = b"x" * (MAX_BODY_BYTES + 1)
        assert (await send(world, large, signed(large))).status_code == 413
        assert (await send(world, MESSAGE, signed(MESSAGE), **{"content-type": "text/plain"})).status_code == 415
        assert await kept(world) == []

    run(work)


@pytest.fixture(scope="module")
def delivered(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    """Orders whose provider sends its webhooks to an API that really listens."""
    folder = tmp_path_factory.mktemp("provider")
    ensure_secrets(folder / "secrets.json")
    with (
        payments_database(stack) as database,
        connect(polled(stack.urls.mongo)) as client,
        listening(stack, database, folder / "secrets.json") as url,
        sandbox(folder, f"{url}{PATH}") as provider,
        # An hour ahead of the API: what it keeps is due whenever it comes.
        closing(Orders(client, database, provider, datetime.now(UTC) + timedelta(hours=1))) as orders,
    ):
        yield orders


@contextmanager
def listening(stack: Stack, database: str, secrets: Path) -> Iterator[str]:
    """An API on a thread of its own; gives its URL."""
    ready: queue.Queue[str] = queue.Queue()
    ending = threading.Event()

    async def serve() -> None:
        client = connect_async(polled(stack.urls.mongo))
        world = World(client, database)
        state: Any = world.app.app.state  # type: ignore[attr-defined]  # nothing starts the application here
        state.webhooks = WebhookService.on_mongo(client, database, {"sandbox": KnownSecrets(None, secrets)})
        try:
            async with served(world) as url:
                ready.put(url)
                await asyncio.to_thread(ending.wait)
        finally:
            await world.catalog.close()
            await client.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield ready.get(timeout=20)
    finally:
        ending.set()
        thread.join(20)


@pytest.mark.parametrize("card", ["success", "copies", "late", "webhook_first", "reordered", "pending_success"])
def test_what_the_provider_says_by_itself_pays_an_order_whose_answer_was_lost(delivered: Orders, card: str) -> None:
    asked = Recorded(delivered.provider.client())
    worker = delivered.worker(asked)
    payment = delivered.place(card)
    worker.store.react(delivered.created(payment), delivered.now)
    (begun,) = worker.store.begin(payment.id, delivered.now)
    with closing(delivered.provider.client()) as client:
        client.charge(Charge(begun.call.key, begun.call.amount_minor, "EUR", payment.method))
    if card == "webhook_first":
        assert delivered.waiting_webhooks() == 1

    def paid() -> bool:
        worker.service.sweep(delivered.now)
        return delivered.state(payment) == "completed"

    assert eventually(paid)
    assert eventually(lambda: delivered.provider.ask("/v1/balance")["webhooks_waiting"] == 0)
    worker.service.sweep(delivered.now)
    assert delivered.waiting_webhooks() == 0
    assert delivered.said(payment) == ["PAYMENT_COMPLETED"]
    assert delivered.ledger(payment) == {"provider": 2_500, "store:shop": -2_500}
    assert asked.questions == []
