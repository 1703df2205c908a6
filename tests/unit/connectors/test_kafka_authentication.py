"""When failed authentication is reported, by a clock that is passed in and errors as librdkafka makes them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.errors import Refused
from connectors.kafka import records
from connectors.kafka.authentication import AuthenticationFailed, AuthenticationWatch, authentication_failure
from connectors.kafka.client_config import KafkaConnection, KafkaSecurity
from connectors.kafka.reader import PartitionReader
from connectors.kafka.topics import TopicAdmin

ALLOWED = {"sections.py", "context.py", "live_play.py", "demo_stack.py", "connect.py"}
"""They make the connection, or show or hand on where the embedded Kafka is, which has no users."""

REJECTED = KafkaError(KafkaError._AUTHENTICATION, "b:1: SASL authentication error (after 314ms in state AUTH_REQ)")
DOWN = KafkaError(KafkaError._TRANSPORT, "b:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused")
TEXT = "Kafka authentication failed: b:1: SASL authentication error"


class Client:
    """What a watch sees of a client: tries that take their time, and errors that wait in a queue."""

    def __init__(self, *, errors_each_try: KafkaError | None = None, succeeds_at: float = float("inf")) -> None:
        self.now = 0.0
        self.tries: list[float] = []
        self.queued: list[KafkaError] = []
        self.watch = AuthenticationWatch(lambda: self.now)
        self._error, self._succeeds_at = errors_each_try, succeeds_at

    def question(self, seconds: float) -> str:
        self.tries.append(seconds)
        if self.now + seconds > self._succeeds_at:
            return "answer"
        self.now += seconds
        if self._error is not None:
            self.queued.append(self._error)
        raise KafkaException(DOWN)

    def serve(self) -> None:
        while self.queued:
            self.watch.on_error(self.queued.pop())

    def ask(self, seconds: float = 10.0) -> Any:
        return self.watch.ask(self.question, self.serve, seconds)


def test_a_rejected_client_knows_it_after_its_first_try() -> None:
    client = Client(errors_each_try=REJECTED)
    with pytest.raises(AuthenticationFailed) as raised:
        client.ask()

    assert (str(raised.value), client.tries) == (TEXT, [0.5])


def test_a_client_whose_brokers_are_down_has_all_of_its_time() -> None:
    client = Client(errors_each_try=DOWN)
    with pytest.raises(KafkaException):
        client.ask()

    assert sum(client.tries) == 10.0


def test_a_client_that_was_connected_asks_once() -> None:
    client = Client(succeeds_at=1.0)
    assert client.ask() == client.ask() == "answer"
    assert client.watch.connected
    assert client.tries == [0.5, 1.0, 10.0]


def test_a_failure_of_an_hour_ago_is_no_reason_for_what_fails_now() -> None:
    client = Client(errors_each_try=DOWN)
    client.queued.append(REJECTED)
    client.now = 3_600.0
    client.watch.on_error(REJECTED)
    client.now += 1.0

    with pytest.raises(KafkaException):
        client.ask(1.0)


def test_a_reader_ends_by_failures_that_go_on_and_not_by_one_of_a_broker_that_starts() -> None:
    client = Client()
    for second in range(10):
        client.now = float(second)
        client.watch.on_error(REJECTED)
        client.watch.check()
    client.now = 10.0
    client.watch.on_error(REJECTED)
    with pytest.raises(AuthenticationFailed, match=TEXT):
        client.watch.check()
    client.now = 15.1
    client.watch.check()


def test_failures_with_long_pauses_between_do_not_add_up() -> None:
    client = Client()
    for minute in range(10):
        client.now = 60.0 * minute
        client.watch.on_error(REJECTED)
        client.watch.check()


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE])
def test_brokers_that_are_down_reject_nobody(code: int) -> None:
    assert authentication_failure(KafkaError(code, "down")) == ""


def test_the_error_survives_the_way_to_another_process() -> None:
    for kind in (AuthenticationFailed, records.AuthenticationFailed):
        sent = kind(TEXT)
        received = pickle.loads(pickle.dumps(sent))
        assert (type(received), str(received)) == (kind, TEXT)


def test_a_file_without_certificates_is_refused_in_one_line_and_without_the_password(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("nothing")
    security = KafkaSecurity("SASL_SSL", "PLAIN", "user", "hunter2", str(ca_file))
    connection = KafkaConnection("127.0.0.1:1", security)

    for make in (lambda: TopicAdmin(connection), lambda: PartitionReader(connection, "topic", "tests")):
        with pytest.raises(Refused, match=r"ssl\.ca\.location") as raised:
            make()
        assert "hunter2" not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_every_client_of_the_product_is_made_from_the_whole_connection() -> None:
    """The bare bootstrap list would do as well, until a broker asks for a user."""
    root = Path(__file__).parents[3]
    packages = ("connectors", "runtime", "flows", "ingest", "dashboards", "ops")
    files = [path for package in packages for path in (root / package).rglob("*.py")]
    assert len(files) > 100
    bare = [path.name for path in files if "urls.kafka" in path.read_text() and path.name not in ALLOWED]
    assert bare == []
