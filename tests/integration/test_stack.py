"""The embedded stack as other programs use it: real processes, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient

from connectors.kafka.topics import ActualTopic, TopicAdmin
from marketplace.topics import Topic
from ops.drift import topic_drift
from ops.stack import Part, Stack, StackError, running_state, running_urls
from ops.stack.parts.kafka_archive import prepared_kafka
from runtime.ports import free_ports
from tests.kits.depth import LONG
from tests.kits.stack import LIGHT, ROOT, all_gone, eventually, processes_of


@pytest.fixture(scope="module", autouse=True)
def _java() -> None:
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))


def _is_replaced(stack: Stack, pid: int) -> bool:
    return stack.process("redis").pid != pid


def test_data_in_every_part_survives_a_stop_and_a_start(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", external={}) as stack:
        first = stack.urls
        admin = AdminClient({"bootstrap.servers": first.kafka})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(10)
        producer = Producer({"bootstrap.servers": first.kafka, "acks": "all"})
        producer.produce("kept", b"hello")
        assert producer.flush(10) == 0
        with MongoClient[dict[str, object]](first.mongo) as mongo:
            mongo.shop.kept.insert_one({"_id": 1})
        with redis.Redis.from_url(first.redis) as cache:
            cache.set("kept", "yes")
        running = processes_of(stack)
    assert all_gone(running)

    with Stack(tmp_path, ports="auto", external={}) as stack:
        assert stack.urls == first
        consumer = Consumer({"bootstrap.servers": first.kafka, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["kept"])
        message = consumer.poll(20)
        consumer.close()
        assert message is not None
        assert message.value() == b"hello"
        with MongoClient[dict[str, object]](first.mongo) as mongo:
            assert mongo.shop.kept.count_documents({}) == 1
        with redis.Redis.from_url(first.redis) as cache:
            assert cache.get("kept") == b"yes"


@LONG
def test_three_brokers_keep_acknowledged_messages_when_one_is_killed(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", brokers=3, parts={"kafka"}, external={}) as stack:
        assert stack.urls.kafka.count(",") == 2
        settings: dict[str, str | int | float | bool] = {"bootstrap.servers": stack.urls.kafka}
        admin = TopicAdmin(stack.urls.kafka)
        topic = Topic("kept", partitions=3, retention=None)
        replicas = topic.replicas(admin.broker_count())
        admin.create(topic.name, topic.partitions, replicas, topic.settings(replicas))
        described: dict[str, ActualTopic] = {}

        def is_known() -> bool:
            described.update(admin.describe([topic.name]))
            return topic.name in described

        assert eventually(is_known)
        found = described[topic.name]
        assert (found.replicas, found.settings["min.insync.replicas"]) == (3, "2")
        assert list(topic_drift(topic, found, brokers=3)) == []
        acknowledged: list[bytes] = []
        producer = Producer({**settings, "acks": "all", "enable.idempotence": True})
        for number in range(600):
            if number == 200:
                stack.kill("kafka-2")
            payload = str(number).encode()
            producer.produce(
                "kept", payload, on_delivery=lambda error, message: acknowledged.append(message.value() or b"")
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert len(acknowledged) == 600
        stack.wait_healthy("kafka-2", 60)

        consumer = Consumer({**settings, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["kept"])
        read: set[bytes] = set()
        deadline = time.monotonic() + 30
        while len(read) < 600 and time.monotonic() < deadline:
            read |= {message.value() or b"" for message in consumer.consume(600, 1.0)}
        consumer.close()
        assert read == set(acknowledged)
    with pytest.raises(StackError, match="another size"):
        Stack(tmp_path, ports="auto", brokers=1, parts={"kafka"}, external={}).start()


def test_a_killed_part_comes_back_with_its_data(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"mongo", "redis"}, external={}) as stack:
        with MongoClient[dict[str, object]](stack.urls.mongo) as mongo:
            mongo.shop.kept.insert_one({"_id": 1})
        for part in ("mongo", "redis"):
            before = stack.kill(part)
            stack.wait_healthy(part, 30)
            assert stack.pid(part) != before
            assert stack.process(part).restarts == 1
        with MongoClient[dict[str, object]](stack.urls.mongo) as mongo:
            assert mongo.shop.kept.count_documents({}) == 1


@LONG
def test_drills_never_add_up_to_a_crash_loop(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        for _ in range(7):
            stack.kill("redis")
            stack.wait_healthy("redis", 20)
        assert stack.process("redis").restarts == 7


def test_a_part_that_keeps_dying_is_given_up_and_a_restart_gives_it_a_new_chance(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        for _ in range(5):
            stack.wait_healthy("redis", 20)
            pid = stack.pid("redis")
            os.kill(pid, signal.SIGKILL)
            assert eventually(partial(_is_replaced, stack, pid))
        assert stack.process("redis").state == "crashed"
        assert "killed by signal 9" in stack.process("redis").problem
        with pytest.raises(StackError, match="crashed"):
            stack.wait_healthy("redis")
        stack.restart("redis")
        stack.wait_healthy("redis", 20)


def test_a_part_that_cannot_start_fails_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "clickhouse").mkdir(parents=True)
    (tmp_path / "clickhouse" / "metadata").write_text("not a folder")
    stack = Stack(tmp_path, ports="auto", parts=LIGHT, external={})
    with pytest.raises(StackError, match="clickhouse does not start: exited with code 1"):
        stack.start()
    assert running_state(tmp_path) is None
    assert stack.state().phase == "failed"
    assert all(info.pid is None for info in stack.state().processes)


@pytest.mark.parametrize(
    "end", [signal.SIGKILL, *(pytest.param(end, marks=LONG) for end in (signal.SIGTERM, signal.SIGINT))]
)
def test_nothing_outlives_the_supervisor(tmp_path: Path, end: signal.Signals) -> None:
    stack = Stack(tmp_path, ports="auto", parts={"kafka", "redis"}, external={})
    stack.start()
    processes = processes_of(stack)
    assert len(processes) >= 4
    os.kill(stack.state().supervisor_pid, end)
    assert eventually(lambda: all_gone(processes))
    assert running_urls(tmp_path) is None
    stack.stop()


@pytest.mark.parametrize("detached", [False, True])
def test_the_stack_lives_as_long_as_its_starter_unless_it_is_detached(tmp_path: Path, detached: bool) -> None:
    code = (
        "import sys, time; from ops.stack import Stack\n"
        f"stack = Stack({str(tmp_path)!r}, ports='auto', parts={{'redis', 'clickhouse'}}, external={{}})\n"
        f"stack.start(); {'stack.detach()' if detached else 'pass'}; print('up', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    with starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        stack = Stack(tmp_path, external={})
        processes = processes_of(stack)
        starter.kill()
    if detached:
        assert not eventually(lambda: running_urls(tmp_path) is None, timeout_seconds=1.5)
        stack.stop()
    assert eventually(lambda: all_gone(processes))


def test_a_part_with_a_url_is_checked_and_not_started(tmp_path: Path) -> None:
    with Stack(tmp_path / "a", ports="auto", parts={"redis"}, external={}) as elsewhere:
        external: dict[Part, str] = {"redis": elsewhere.urls.redis}
        with Stack(tmp_path / "b", ports="auto", parts=LIGHT, external=external) as stack:
            assert stack.urls.redis == elsewhere.urls.redis
            info = stack.process("redis")
            assert (info.external, info.healthy, info.pid) == (True, True, None)
            with pytest.raises(StackError, match="not running"):
                stack.kill("redis")
        assert elsewhere.process("redis").state == "running"


def test_an_external_part_that_does_not_answer_fails_the_start(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    external: dict[Part, str] = {"redis": f"redis://127.0.0.1:{port}/0"}
    with pytest.raises(StackError, match="redis: ConnectionError"):
        Stack(tmp_path, parts={"redis"}, external=external, start_timeout_seconds=1).start()


@LONG
def test_the_health_of_a_part_that_hangs_is_seen(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        pid = stack.pid("redis")
        os.kill(pid, signal.SIGSTOP)
        assert eventually(lambda: not stack.process("redis").healthy, timeout_seconds=20)
        os.kill(pid, signal.SIGCONT)
        stack.wait_healthy("redis", 20)
        assert stack.pid("redis") == pid
