"""A stack whose outbox is sent to Kafka by the real connector, and what arrives there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
from confluent_kafka import Consumer, TopicPartition

from connectors.debezium.client import Connect
from connectors.errors import Unavailable
from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.documents import outbox_document
from connectors.mongo.transactions import in_transaction
from marketplace.collections import OUTBOX
from marketplace.sagas.events import Event, EventType, OrderedItem, StockCountUpdated, event_id
from marketplace.sagas.wire import event_of
from marketplace.topics import ORDERS_EVENTS
from ops.stack import Part, Stack
from ops.stack.parts.kafka_jars import CONNECT_JARS, ensure_jars
from ops.stack.registry import REGISTRY
from runtime.sections import DATABASE_NAME

DATABASE: Final = DATABASE_NAME.default
ARRIVE_SECONDS: Final = 60.0


def event_for_tests(order: str, version: int = 1) -> Event:
    """An event of an order; each version is another one."""
    payload = StockCountUpdated((OrderedItem("variant", version),))
    event = event_id(order, "inventory", version)
    return Event(event, EventType.STOCK_COUNT_UPDATED, order, "berlin-bikes", 1_796_000_000_000 + version, payload)


@dataclass(frozen=True)
class Arrived:
    """A record of the orders' topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def event(self) -> Event:
        """What it says."""
        return event_of(self.key, self.headers, self.value)


class Tail:
    """What arrives in a topic from now on, in the order of each partition."""

    def __init__(self, bootstrap: str, topic: str = ORDERS_EVENTS.name) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "tests.tail",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 10,
            }
        )
        partitions = self._consumer.list_topics(topic, timeout=20.0).topics[topic].partitions
        ends = [
            self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20.0)[1]
            for number in sorted(partitions)
        ]
        self._consumer.assign(
            [TopicPartition(topic, number, end) for number, end in zip(partitions, ends, strict=True)]
        )
        self.arrived: list[Arrived] = []

    def poll(self, seconds: float = 0.1) -> list[Arrived]:
        """All records so far, after waiting so long for further ones."""
        for message in self._consumer.consume(500, seconds):
            if message.error() is None:
                self.arrived.append(
                    Arrived(
                        message.partition() or 0,
                        message.offset() or 0,
                        message.key(),
                        message.value(),
                        message.headers() or [],  # type: ignore[arg-type]  # its type says less than it takes
                    )
                )
        return self.arrived

    def until(self, ids: Collection[str], seconds: float = ARRIVE_SECONDS) -> list[Arrived]:
        """All records up to the moment at which each of these events is there.

        Raises:
            AssertionError: Some did not arrive in time.
        """
        deadline, missing = time.monotonic() + seconds, set(ids)
        while missing:
            assert time.monotonic() < deadline, f"{len(missing)} events did not arrive: {sorted(missing)[:3]}"
            missing -= {ids_of(each) for each in self.poll()}
        return self.arrived

    def of(self, *events: Event) -> list[Event]:
        """Those of these events that are there, in the order in which they came, and as often.

        A connector that starts may send twice what was written at that moment, also by a test before.
        """
        ids = {event.id for event in events}
        return [each.event for each in self.arrived if ids_of(each) in ids]

    def close(self) -> None:
        self._consumer.close()


def ids_of(record: Arrived) -> str:
    """The id in the headers of a record; empty where there is none."""
    return next((text.decode() for name, text in record.headers if name == "ce_id"), "")


class PatientConnect(Connect):
    """Kafka Connect, asked again while it shares out its work: after each change it answers nothing for a moment."""

    def _ask(self, method: str, path: str, body: object = None, **missing: Any) -> Any:
        deadline = time.monotonic() + ARRIVE_SECONDS
        while True:
            try:
                return super()._ask(method, path, body, **missing)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


@dataclass
class Relay:
    """A stack with the connector of the outbox."""

    stack: Stack
    client: Client
    connect: Connect
    tails: list[Tail] = field(default_factory=list)

    @property
    def outbox(self) -> Any:
        return self.client[DATABASE][OUTBOX.name]

    def tail(self) -> Tail:
        """What arrives from now on; closed with the stack."""
        self.tails.append(Tail(self.stack.urls.kafka))
        return self.tails[-1]

    def say(self, *events: Event, trace_parent: str = "") -> None:
        """Write events as a service does, in one transaction."""
        now = datetime.now(UTC)
        rows = [outbox_document(event, "tests", now, trace_parent) for event in events]
        in_transaction(self.client, lambda session: self.outbox.insert_many(rows, session=session), 60.0)

    def metric(self, name: str) -> float:
        """A metric of the relay's service."""
        text = httpx.get(f"{self.stack.process('relay').url}/metrics").text
        line = next(line for line in text.splitlines() if line.startswith(f"{name}{{"))
        return float(line.rpartition(" ")[2])

    def wait_running(self, seconds: float = ARRIVE_SECONDS) -> None:
        """Wait until the supervisor says that the worker, its task and the relay's service are fine."""
        for name in ("connect", "relay"):
            self.stack.wait_healthy(name, seconds)


@contextmanager
def relayed_stack(
    folder: Path, *, services: Collection[Part] = ("relay",), external: dict[Part, str] | None = None, **options: Any
) -> Iterator[Relay]:
    """A stack of its own with these services and all that they need, the relay among it.

    Args:
        folder: The data folder.
        services: Names of the registry.
        external: Parts that run elsewhere.
        options: Of the stack.

    Raises:
        StackError: Java or Maven is missing.
    """
    ensure_jars(CONNECT_JARS)
    parts = REGISTRY.needed_by({"relay", *services})
    with Stack(folder, ports="auto", parts=parts, external=external or {}, **options) as stack:
        relay = Relay(stack, connect(stack.urls.mongo), PatientConnect(stack.urls.connect))
        try:
            yield relay
        finally:
            for tail in relay.tails:
                tail.close()
            relay.connect.close()
            relay.client.close()


def eventually(condition: Callable[[], object], what: str, seconds: float = ARRIVE_SECONDS) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It was not, in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def resend_killed_at(relay: Relay, method: str, ending: str) -> list[str]:
    """Kill ``marketplace relay resend`` once Connect has answered a request of it, before the answer arrives.

    Args:
        relay: With the Connect that it asks.
        method: Of the request.
        ending: How the request's path ends.

    Returns:
        What Connect was asked until then.
    """
    asked: list[str] = []
    killed = threading.Event()
    child: subprocess.Popen[bytes]

    class Between(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = httpx.request(self.command, f"{relay.stack.urls.connect}{self.path}", content=body, timeout=30.0)
            asked.append(f"{self.command} {self.path}")
            if (self.command, self.path.endswith(ending)) == (method, True):
                child.kill()
                killed.set()
                return
            self.send_response(answer.status_code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_PUT = do_DELETE = do_any

        def log_message(self, *_: object) -> None:
            """A test says what it has to say itself."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        command = [sys.executable, "-c", "from ops.cli import main; main()", "relay", "resend"]
        command += ["--data", str(relay.stack.data_dir)]
        child = subprocess.Popen(command, env={**os.environ, "MARKETPLACE_CONNECT_URL": url})
        try:
            assert killed.wait(ARRIVE_SECONDS), f"it was never asked for {method} ...{ending}: {asked}"
        finally:
            child.kill()
            child.wait(10.0)
            server.shutdown()
            serving.join()
    return asked
