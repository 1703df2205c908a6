"""The sandbox provider as a process, orders with their payments in a database, and what is counted of both again."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

import httpx

from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.documents import payment_document
from connectors.mongo.sagas.payments import webhook_document
from connectors.mongo.times import milliseconds
from connectors.payments.provider import Charge, PaymentProvider, Repayment
from connectors.payments.sandbox import SandboxProvider
from connectors.payments.secrets import KnownSecrets, ensure_secrets, read_secrets
from marketplace.collections import INBOX, LEDGER_ENTRIES, OUTBOX, PAYMENT_WEBHOOKS, PAYMENTS
from marketplace.sagas.events import (
    Event,
    EventType,
    OrderCancelled,
    OrderCreated,
    OrderedItem,
    OrderRefundRequested,
    Payload,
    StockInsufficient,
    event_id,
)
from marketplace.sagas.payment_state import Payment, PaymentState
from marketplace.sagas.provider_calls import Report
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.sandbox_provider.cards import BY_NAME
from ops.stack import Stack
from runtime.ports import free_ports
from runtime.sections import Settings
from saga_consumers.payments.calls import Calls
from saga_consumers.payments.consumer import PaymentsService
from saga_consumers.payments.counts import PaymentCounts
from saga_consumers.payments.store import PaymentStore
from tests.kits.stack import ROOT, eventually

NOW: Final = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
PACE: Final = 0.1
"""A second of the cards' scripts is so long in tests."""

TIMEOUT_SECONDS: Final = 5.0
"""Of clients that ask for no trouble: the machine may be busy."""

SHORT_SECONDS: Final = 0.4
"""Of clients that ask for what hangs, which is for six seconds."""


@cache
def _client() -> httpx.Client:
    # One for all: a new one reads all certificates. It keeps no connection, because processes come and go.
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0), timeout=10.0)


@dataclass
class Sandbox:
    """A sandbox provider that runs.

    Attributes:
        folder: Where it keeps all that it has.
        port: Where it listens.
        webhook_url: Where its webhooks go; empty for nowhere.
    """

    folder: Path
    port: int
    webhook_url: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secrets_file(self) -> Path:
        return self.folder / "secrets.json"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ensure_secrets(self.secrets_file)
        command = [sys.executable, "-m", "ops.sandbox_provider", "--data", str(self.folder), "--port", str(self.port)]
        command += ["--secrets", str(self.secrets_file), "--pace", str(PACE)]
        command += ["--webhook-url", self.webhook_url] if self.webhook_url else []
        self.process = subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
        assert eventually(self._answers, 20)

    def kill(self) -> None:
        """End it as a power cut would end its process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def client(self, timeout_seconds: float = TIMEOUT_SECONDS, url: str = "") -> SandboxProvider:
        """A client; the caller closes it."""
        known = KnownSecrets(read_secrets(self.secrets_file))
        return SandboxProvider(url or self.url, known, "sandbox", timeout_seconds=timeout_seconds)

    def method(self, card: str) -> str:
        """The token of a card."""
        body = {"number": BY_NAME[card].number, "exp": "12/30", "cvc": "123"}
        answer = _client().post(f"{self.url}/v1/methods", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def ask(self, path: str) -> Any:
        """What a page says."""
        key = read_secrets(self.secrets_file).api_key
        answer = _client().get(f"{self.url}{path}", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def net(self) -> int:
        """What it has of our money in euros, as it says itself."""
        return int(self.ask("/v1/balance")["balance"].get("EUR", 0))

    def operations(self, payment: str) -> list[tuple[str, str, int]]:
        """Kind, status and amount of all that it did for a payment, in order."""
        found = self.ask("/v1/operations")["operations"]
        return [(e["kind"], e["status"], e["amount_minor"]) for e in found if e["key"].startswith(f"{payment}:")]

    def _answers(self) -> bool:
        try:
            return _client().get(f"{self.url}/readyz", timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def sandbox(folder: Path, webhook_url: str = "") -> Iterator[Sandbox]:
    """A sandbox provider of its own."""
    (port,) = free_ports(1)
    made = Sandbox(folder, port, webhook_url)
    made.start()
    try:
        yield made
    finally:
        # In order it would wait for questions that hang.
        made.kill()


class Recorded:
    """A provider with notes of the questions that it was asked; those about some keys wait until they may be asked.

    Args:
        asked: The client that is asked in truth.
        held_back: Keys whose questions wait for :attr:`go_on`.
    """

    def __init__(self, asked: SandboxProvider, held_back: Collection[str] = ()) -> None:
        self._asked, self._held_back = asked, held_back
        self.questions: list[tuple[str, str, int | None]] = []
        self.go_on = threading.Event()
        self.name, self.read_webhook, self.close = asked.name, asked.read_webhook, asked.close

    def charge(self, charge: Charge) -> Report:
        self._note("charge", charge.key, charge.amount_minor)
        return self._asked.charge(charge)

    def refund(self, repayment: Repayment) -> Report:
        self._note("refund", repayment.key, repayment.amount_minor)
        return self._asked.refund(repayment)

    def look_up(self, key: str) -> Report:
        self._note("look_up", key, None)
        return self._asked.look_up(key)

    def _note(self, kind: str, key: str, amount_minor: int | None) -> None:
        self.questions.append((kind, key, amount_minor))
        if key in self._held_back:
            assert self.go_on.wait(20)


@contextmanager
def payments_database(stack: Stack) -> Iterator[str]:
    """The name of a database with all that the payments service keeps."""
    name = f"payments_{uuid.uuid4().hex}"
    urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
    collections = (PAYMENTS, LEDGER_ENTRIES, PAYMENT_WEBHOOKS, OUTBOX, INBOX)
    ensure_provisioned(Settings(urls, PurePosixPath("unused"), name), resources=Resources(collections=collections))
    yield name
    with connect(stack.urls.mongo, deadline_seconds=60) as client:
        client.drop_database(name)


@dataclass
class Worker:
    """One process of the payments service, with threads and counts of its own; the time is the test's."""

    service: PaymentsService
    store: PaymentStore
    calls: Calls
    counts: PaymentCounts


@dataclass
class Orders:
    """Orders with their payments in a database, and workers that are paid through a sandbox.

    Attributes:
        client: Of the database.
        database: Its name.
        provider: Whom the workers ask.
        now: The time; it stands still unless a test moves it.
    """

    client: Client
    database: str
    provider: Sandbox
    now: datetime = NOW
    _open: list[Any] = field(default_factory=list)

    def worker(self, provider: PaymentProvider | None = None, threads: int = 8) -> Worker:
        """One more process of the payments service."""
        asked = provider or self.provider.client()
        counts = PaymentCounts()
        store = PaymentStore(self.client, self.database, counts)
        calls = Calls(store, asked, counts, threads)
        self._open.append((calls, asked))
        return Worker(PaymentsService(store, {asked.name: asked}, counts, calls), store, calls, counts)

    def place(self, card: str, amount_minor: int = 2_500, store: str = "shop") -> Payment:
        """An order's payment that waits, as the API writes it."""
        order = uuid.uuid4().hex
        method = self.provider.method(card) if card in BY_NAME else card
        payment = Payment(f"p{order}", order, store, amount_minor, "EUR", method)
        self.write(payment)
        return payment

    def say(self, payment: Payment, payload: Payload, number: int = 1, store: str = "") -> Event:
        """An event of the payment's order."""
        kinds = {
            OrderCreated: EventType.ORDER_CREATED,
            OrderCancelled: EventType.ORDER_CANCELLED,
            OrderRefundRequested: EventType.ORDER_REFUND_REQUESTED,
            StockInsufficient: EventType.STOCK_INSUFFICIENT,
        }
        made = event_id(payment.order, "orders", number)
        at_ms = milliseconds(self.now)
        return Event(made, kinds[type(payload)], payment.order, store or payment.store, at_ms, payload)

    def created(self, payment: Payment) -> Event:
        """That the order was placed."""
        items = (OrderedItem("mug", 1),)
        payload = OrderCreated("c1", "ann", "EUR", payment.amount_minor, items, milliseconds(self.now) + 900_000)
        return self.say(payment, payload)

    def charge(self, worker: Worker, card: str, amount_minor: int = 2_500) -> Payment:
        """Place an order and let a worker ask for its money once."""
        payment = self.place(card, amount_minor)
        assert worker.service.handle(self.created(payment), self.now)
        assert worker.service.wait(20)
        return payment

    def refund(self, worker: Worker, payment: Payment, refund: str, amount_minor: int, number: int = 2) -> None:
        """Let a worker hear of a refund, and ask for it once."""
        event = self.say(payment, OrderRefundRequested(refund, amount_minor), number)
        assert worker.service.handle(event, self.now)
        assert worker.service.wait(20)

    def sweep(self, worker: Worker, seconds: float = 0.0) -> None:
        """Let time pass, and a worker do all that is due then."""
        self.now += timedelta(seconds=seconds)
        while worker.service.sweep(self.now):
            assert worker.service.wait(20)

    def webhook(self, raw: bytes, name: str = "", provider: str = "sandbox") -> str:
        """A webhook as the API keeps it; returns the id of its row."""
        webhook = f"{provider}:{name or uuid.uuid4().hex}"
        self._rows(PAYMENT_WEBHOOKS.name).insert_one(webhook_document(webhook, provider, raw, self.now))
        return webhook

    def waiting(self, state: PaymentState = PaymentState.WAITING) -> Payment:
        """A payment that is not there yet."""
        order = uuid.uuid4().hex
        return Payment(f"p{order}", order, "shop", 2_500, "EUR", "pm", state, attempts=1)

    def write(self, payment: Payment) -> None:
        """Write a payment as it is."""
        self._rows(PAYMENTS.name).insert_one(payment_document(payment, milliseconds(self.now)))

    def row(self, payment: Payment) -> Any:
        """The document of a payment."""
        return self._rows(PAYMENTS.name).find_one({"_id": payment.id})

    def state(self, payment: Payment) -> str:
        """The state of a payment."""
        return str(self.row(payment)["state"])

    def undecided(self) -> int:
        """How many payments of the database are being charged."""
        return int(self._rows(PAYMENTS.name).count_documents({"state": "charging"}))

    def wait_for_operator(self, payment: Payment) -> None:
        """Let the first refund of a payment be stuck, as after many refusals."""
        stuck = {"refunds.0.state": "stuck", "refunds.0.due_ms": None, "due_ms": None}
        self._rows(PAYMENTS.name).update_one({"_id": payment.id}, {"$set": stuck})

    def refunds(self, payment: Payment) -> dict[str, str]:
        """The states of a payment's refunds, by their ids."""
        return {each["id"]: each["state"] for each in self.row(payment)["refunds"]}

    def webhook_row(self, webhook: str) -> Any:
        """The document of a webhook."""
        return self._rows(PAYMENT_WEBHOOKS.name).find_one({"_id": webhook})

    def waiting_webhooks(self) -> int:
        """How many webhooks wait to be applied."""
        return int(self._rows(PAYMENT_WEBHOOKS.name).count_documents({"due_ms": {"$ne": None}}))

    def said(self, payment: Payment) -> list[str]:
        """Types of all that the payments service said of an order, in order."""
        rows = self._rows(OUTBOX.name).find({"aggregateid": payment.order, "ce_source": "/marketplace/payments"})
        return [row["type"] for row in sorted(rows, key=lambda row: int(row["_id"].split(":")[2]))]

    def ledger(self, payment: Payment) -> dict[str, int]:
        """The sum of a payment's entries, by account."""
        found: Counter[str] = Counter()
        for entry in self._rows(LEDGER_ENTRIES.name).find({"payment": payment.id}):
            assert (entry["order"], entry["currency"]) == (payment.order, "EUR")
            found[entry["account"]] += entry["amount_minor"]
        return dict(found)

    def close(self) -> None:
        """End all workers."""
        for calls, asked in self._open:
            calls.close(20)
            asked.close()

    def _rows(self, name: str) -> Any:
        return self.client[self.database][name]
