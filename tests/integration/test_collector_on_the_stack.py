"""The collector as a process of its own, on real Kafka and Mongo."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import httpx
import pytest

from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.clicks.events import CollectedClick
from marketplace.stores import hash_write_key
from marketplace.topics import CLICKS_COLLECTED
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.collector import SHOP, eventually, read_topic, readable

KAFKA_TIMEOUT_SECONDS = 3.0
DEADLINE_SECONDS = 60.0
STORES = 30
HANG_SECONDS = 15
EACH_STORE_SECONDS = 0.5
MOST_SECONDS = 2.5
LISTENING = re.compile(r"Uvicorn running on http://\S+:(\d+)")
ADMIN = re.compile(r"readiness and metrics on http://<address>:(\d+)")


@dataclass
class Running:
    """A collector process and the store that it serves."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    admin_port: int
    store: str
    write_key: str
    log: Path
    kafka: str

    def post(self, event_ids: list[str], client: httpx.Client | None = None) -> httpx.Response:
        events = [{"event_id": event_id, "url": "https://shop.example/"} for event_id in event_ids]
        return (client or self.http).post("/v1/collect", json=events, headers={"x-write-key": self.write_key})

    def admin(self, path: str) -> httpx.Response:
        return self.http.get(f"http://127.0.0.1:{self.admin_port}{path}")

    def clicks(self) -> list[CollectedClick]:
        clicks = readable(read_topic(self.kafka, CLICKS_COLLECTED))
        return [click for click in clicks if click.store == self.store]


def timed(ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    """An answer, and the seconds that it took."""
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


def open_stores(settings: Settings, count: int) -> list[str]:
    """Their write keys."""
    client = connect(settings.urls.mongo)
    book, keys = MongoStores(client, settings.database), [uuid.uuid4().hex for _ in range(count)]
    for key in keys:
        assert book.create_store(replace(SHOP, slug=f"shop-{key[:8]}", write_key_hash=hash_write_key(key)))
    client.close()
    return keys


def post_for_each(running: Running, keys: list[str]) -> list[tuple[int, float]]:
    """An event for each key: statuses and seconds."""
    answers = []
    for key in keys:
        event = [{"event_id": uuid.uuid4().hex, "url": "https://shop.example/"}]
        answer, seconds = timed(partial(running.http.post, "/v1/collect", json=event, headers={"x-write-key": key}))
        answers.append((answer.status_code, seconds))
    return answers


@pytest.fixture(scope="module")
def settings(stack: Stack) -> Settings:
    urls = stack.urls
    found = Settings(urls, PurePosixPath(str(stack.data_dir)))
    ensure_provisioned(found)
    return found


@pytest.fixture
def running(settings: Settings, tmp_path: Path) -> Iterator[Running]:
    slug, write_key = f"shop-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    client = connect(settings.urls.mongo)
    MongoStores(client, settings.database).upsert_store(
        replace(SHOP, slug=slug, write_key_hash=hash_write_key(write_key))
    )
    client.close()
    environment = {
        **os.environ,
        **settings.urls.environment(),
        "MARKETPLACE_COLLECTOR_PORT": "0",
        "MARKETPLACE_COLLECTOR_KAFKA_TIMEOUT_SECONDS": str(KAFKA_TIMEOUT_SECONDS),
    }
    log = tmp_path / "collector.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "ingest"], env=environment, stderr=output, stdout=output)
    try:
        eventually(lambda: LISTENING.search(log.read_text()) or process.poll() is not None, "it listens")
        found = LISTENING.search(log.read_text())
        admin = ADMIN.search(log.read_text())
        assert found is not None, log.read_text()
        assert admin is not None, log.read_text()
        with httpx.Client(base_url=f"http://127.0.0.1:{found[1]}", timeout=DEADLINE_SECONDS) as http:
            yield Running(process, http, int(admin[1]), slug, write_key, log, settings.urls.kafka)
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


def test_what_was_accepted_is_on_the_topic_once_each(running: Running) -> None:
    batches = [[f"{batch}-{number}" for number in range(50)] for batch in range(20)]
    answers: list[int] = []

    def send(own: list[list[str]]) -> None:
        with httpx.Client(base_url=running.http.base_url, timeout=DEADLINE_SECONDS) as http:
            answers.extend(running.post(batch, http).status_code for batch in own)

    threads = [threading.Thread(target=send, args=(batches[part::4],)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)

    assert answers == [202] * 20
    assert sorted(click.event_id for click in running.clicks()) == sorted(
        event_id for batch in batches for event_id in batch
    )


def test_a_termination_signal_ends_it_cleanly_with_everything_acknowledged(running: Running) -> None:
    assert running.post(["last"]).status_code == 202
    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(DEADLINE_SECONDS) == 0
    assert [click.event_id for click in running.clicks()] == ["last"]


def test_while_the_broker_is_stopped_it_answers_503_in_time_and_goes_on_by_itself(
    running: Running, stack: Stack
) -> None:
    assert running.post(["before"]).status_code == 202
    broker = stack.pid("kafka")
    os.kill(broker, signal.SIGSTOP)
    try:
        started = time.monotonic()
        away = running.post(["during"])
        waited_seconds = time.monotonic() - started
    finally:
        os.kill(broker, signal.SIGCONT)

    assert (away.status_code, away.json()["error"]["code"]) == (503, "unavailable")
    assert int(away.headers["retry-after"]) >= 1
    assert waited_seconds < KAFKA_TIMEOUT_SECONDS + 3
    eventually(lambda: running.post(["during"]).status_code == 202, "it takes events again", DEADLINE_SECONDS)
    clicks = running.clicks()
    assert {click.event_id for click in clicks} == {"before", "during"}
    assert len({click.key for click in clicks}) == 2


def test_while_mongo_is_stopped_no_event_of_a_known_store_is_turned_unavailable(
    running: Running, settings: Settings, stack: Stack
) -> None:
    keys = open_stores(settings, STORES)
    assert {status for status, _ in post_for_each(running, keys)} == {202}
    mongo = stack.pid("mongo")
    os.kill(mongo, signal.SIGSTOP)
    try:
        answers: list[tuple[int, float]] = []
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline:
            began = time.monotonic()
            answers += post_for_each(running, keys)
            threading.Event().wait(max(0.0, began + EACH_STORE_SECONDS - time.monotonic()))
        unknown = [post_for_each(running, [f"nobody's {number}"])[0] for number in range(3)]
        ready, ready_seconds = timed(lambda: running.admin("/readyz"))
        alive = running.admin("/livez")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(mongo, signal.SIGCONT)

    assert {status for status, _ in answers} == {202}
    assert len(answers) >= STORES * HANG_SECONDS
    assert max(seconds for _, seconds in answers) < MOST_SECONDS
    assert {status for status, _ in unknown} == {503}
    assert min(seconds for _, seconds in unknown) < 0.5
    assert (ready.status_code, ready.json()["ready"], alive.status_code) == (200, True, 200)
    assert ready.json()["mongo"] != "answers"
    assert ready_seconds < MOST_SECONDS
    eventually(lambda: post_for_each(running, ["nobody's"])[0][0] == 401, "Mongo is asked again", DEADLINE_SECONDS)
    assert {status for status, _ in post_for_each(running, keys)} == {202}


def test_a_broker_that_was_killed_comes_back_and_nothing_acknowledged_is_missing(
    running: Running, stack: Stack
) -> None:
    acknowledged: list[str] = []
    stack.kill("kafka")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(acknowledged) < 5:
        assert time.monotonic() < deadline, running.log.read_text()
        event_id = f"after-{len(acknowledged)}"
        if running.post([event_id]).status_code == 202:
            acknowledged.append(event_id)

    stack.wait_healthy("kafka", DEADLINE_SECONDS)
    assert set(acknowledged) <= {click.event_id for click in running.clicks()}
    assert running.http.get(f"http://127.0.0.1:{running.admin_port}/readyz").status_code == 200


def test_its_log_holds_no_address_and_no_key(running: Running) -> None:
    running.http.get(f"/v1/pixel.gif?key={running.write_key}")
    with socket.create_connection(("127.0.0.1", running.http.base_url.port or 0)) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        connection.recv(1_000)

    logged = running.log.read_text()
    assert running.write_key not in logged
    assert "127.0.0.1" not in logged


def test_an_environment_that_cannot_be_used_is_one_line_and_exit_code_2() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "ingest"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "MARKETPLACE_KAFKA_URL" in finished.stderr
