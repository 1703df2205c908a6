"""Every row of the outbox arrives, in the order of its key, whatever is killed, frozen or forgotten on the way."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from bson import decode
from pymongo.errors import DuplicateKeyError, OperationFailure

from connectors.debezium.declared import OUTBOX_CONNECTOR
from connectors.errors import Unavailable
from connectors.mongo.sagas.documents import outbox_document
from connectors.mongo.transactions import in_transaction
from marketplace.sagas.events import Event
from ops.stack import StackError
from runtime.ports import free_ports
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.relay import DATABASE, Relay, Tail, event_for_tests, eventually, relayed_stack
from tests.kits.secured_kafka import SecuredKafka

NAME: Final = OUTBOX_CONNECTOR.name
HANG_SECONDS: Final = 6.0


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    try:
        with relayed_stack(tmp_path_factory.mktemp("relay"), hang_seconds=HANG_SECONDS) as running:
            yield running
    except StackError as error:
        pytest.skip(str(error))


def new_order() -> str:
    return uuid.uuid4().hex


@LONG
def test_a_row_that_expires_sends_nothing(relay: Relay) -> None:
    tail, event, last = relay.tail(), event_for_tests(new_order()), event_for_tests(new_order())
    in_transaction(
        relay.client,
        lambda session: relay.outbox.insert_one(
            outbox_document(event, "tests", datetime.now(UTC) - timedelta(days=30)), session=session
        ),
    )
    eventually(lambda: relay.outbox.find_one({"_id": event.id}) is None, "the row expires", 150.0)
    relay.say(last)
    tail.until([last.id])
    assert tail.of(event) == [event]


class Writer:
    """Writes events of some orders, one transaction after the other, through whatever happens."""

    def __init__(self, relay: Relay, orders: int = 8) -> None:
        self._relay, self._orders = relay, [new_order() for _ in range(orders)]
        self.written: list[Event] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer")
        self._thread.start()

    def _write(self) -> None:
        version = 0
        while not self._stop.is_set():
            version += 1
            for order in self._orders:
                event = event_for_tests(order, version)
                # A row whose transaction may have been committed is written again under its id, as a service does.
                while not self._stop.is_set():
                    try:
                        self._relay.say(event)
                    except (Unavailable, DuplicateKeyError) as error:
                        if isinstance(error, Unavailable):
                            continue
                    self.written.append(event)
                    break
                self._stop.wait(0.01)

    def stop(self) -> list[Event]:
        """What is in the outbox for certain."""
        self._stop.set()
        self._thread.join()
        return self.written


def firsts(arrived: list[Event]) -> list[str]:
    """The ids of events in the order in which each arrived first."""
    return list(dict.fromkeys(event.id for event in arrived))


@CHAOS
@pytest.mark.parametrize("seed", range(CHAOS_SEEDS))
@pytest.mark.parametrize(
    ("victim", "sig"),
    [
        pytest.param("connect", signal.SIGKILL, id="connect killed", marks=LONG),
        pytest.param("mongo", signal.SIGKILL, id="mongo killed", marks=LONG),
        pytest.param("kafka", signal.SIGKILL, id="kafka killed", marks=LONG),
        pytest.param("relay", signal.SIGKILL, id="watch killed", marks=LONG),
        pytest.param("connect", signal.SIGSTOP, id="connect frozen", marks=LONG),
    ],
)
def test_every_row_arrives_in_the_order_of_its_key_whatever_ends_meanwhile(
    relay: Relay, victim: str, sig: signal.Signals, seed: int
) -> None:
    relay.wait_running()
    tail, writer = relay.tail(), Writer(relay)
    try:
        eventually(lambda: len(writer.written) > 20 * (1 + seed % 5), "rows are written")
        tail.poll(0.0)
        if sig is signal.SIGKILL:
            relay.stack.kill(victim)
        else:
            hangs = relay.stack.process(victim).hangs
            os.kill(relay.stack.pid(victim), sig)
            eventually(lambda: relay.stack.process(victim).hangs > hangs, "it is seen to hang")
        relay.stack.wait_healthy(victim, 90.0)
        before = len(writer.written)
        eventually(lambda: len(writer.written) > before + 20, "rows are written again")
    finally:
        written = writer.stop()
    arrived = [each.event for each in tail.until([event.id for event in written]) if each.event.payload]
    for order in {event.order for event in written}:
        expected = [event.id for event in written if event.order == order]
        assert [found for found in firsts(arrived) if found in set(expected)] == expected
    relay.wait_running()


@LONG
def test_at_a_kafka_that_asks_for_a_user_the_worker_and_its_connector_are_that_user(
    secured: SecuredKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    security = secured.connection().security
    for name, value in {
        "SECURITY_PROTOCOL": security.protocol, "SASL_MECHANISM": security.mechanism,
        "SASL_USERNAME": security.username, "SASL_PASSWORD": security.password, "SSL_CA_FILE": security.ca_file,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"MARKETPLACE_KAFKA_{name}", value)
    with relayed_stack(tmp_path, external={"kafka": secured.bootstrap}) as relay:
        tail, event = Tail(secured.open_bootstrap), event_for_tests(new_order())
        relay.tails.append(tail)
        relay.say(event)
        assert tail.until([event.id])[-1].event == event


@contextmanager
def forgetful_mongo(folder: Path) -> Iterator[str]:
    """A Mongo that keeps changes for two seconds."""
    (port,) = free_ports(1)
    folder.mkdir()
    (folder / "config.toml").touch()
    command = [str(Path(sys.executable).with_name("secantusd-py")), "--config", str(folder / "config.toml")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder / "db"), "--sync-on-commit"]
    command += ["--log-level", "WARNING", "--noop-heartbeat-seconds", "1"]
    command += ["--oplog-retention-seconds", "2", "--oplog-max-entries", "50"]
    process = subprocess.Popen(command)
    try:
        yield f"mongodb://127.0.0.1:{port}/?replicaSet=secantus&directConnection=true"
    finally:
        process.terminate()
        process.wait(30.0)


def is_lost(relay: Relay, token: str) -> bool:
    """Whether Mongo no longer has what follows a place, after some changes more."""
    relay.client[DATABASE]["noise"].insert_many([{"number": number} for number in range(200)])
    try:
        with relay.client.watch(resume_after=decode(base64.b64decode(token))):
            return False
    except OperationFailure as error:
        return error.code == 286


@LONG
def test_no_row_is_missing_where_the_connector_was_off_for_longer_than_mongo_keeps_changes(tmp_path: Path) -> None:
    with (
        forgetful_mongo(tmp_path / "mongo") as url,
        relayed_stack(tmp_path / "stack", external={"mongo": url}) as relay,
    ):
        relay.wait_running()
        first, missed = event_for_tests(new_order()), [event_for_tests(new_order()) for _ in range(10)]
        tail = relay.tail()
        relay.say(first)
        tail.until([first.id])
        eventually(lambda: relay.connect.places(NAME), "its place is kept")
        relay.connect.stop(NAME)
        eventually(lambda: not relay.connect.status(NAME).tasks, "it stops")  # type: ignore[union-attr]  # None fails the test
        relay.say(*missed)
        (place,) = relay.connect.places(NAME)
        eventually(lambda: is_lost(relay, place["offset"]["resume_token"]), "the place is lost", 90.0)
        relay.connect.resume(NAME)
        tail.until([event.id for event in missed])
        eventually(lambda: relay.metric("marketplace_relay_resends_total") == 1.0, "it is counted")
