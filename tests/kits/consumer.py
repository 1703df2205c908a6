"""A topic, a group and its members, on Kafka and in memory, and what can be done to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient

from connectors.errors import Unavailable
from connectors.kafka.consumer import GroupConsumer, Handler
from connectors.kafka.consumer_policy import ConsumerPolicy
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.group_client import GroupClient, Membership
from connectors.kafka.kafka_group_client import KafkaGroupClient
from connectors.kafka.memory import MemoryBroker, MemoryGroupClient, MemoryProducer
from connectors.kafka.producer import Producer
from connectors.kafka.records import ConsumerRecord, Record, RecordProducer, TopicPartition
from connectors.kafka.topics import TopicAdmin
from ops.stack import Stack

PARTITIONS = 3
DEADLINE_SECONDS = 25.0
POLICY = ConsumerPolicy(commit_seconds=0.05, revoke_seconds=2.0, backoff_seconds=(0.05,))
ROOT = Path(__file__).resolve().parents[2]


def eventually(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)


@dataclass
class Handled:
    """What handlers have seen, in order. Safe to share between threads."""

    records: list[ConsumerRecord] = field(default_factory=list)

    def __call__(self, record: ConsumerRecord) -> None:
        self.records.append(record)

    def offsets(self, partition: int) -> list[int]:
        return [record.offset for record in list(self.records) if record.partition == partition]

    def places(self) -> set[tuple[int, int]]:
        return {(record.partition, record.offset) for record in list(self.records)}

    def values(self) -> set[bytes]:
        return {record.value or b"" for record in list(self.records)}


class Member:
    """A consumer that works on a thread of its own."""

    def __init__(self, consumer: GroupConsumer) -> None:
        self.consumer = consumer
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.consumer.run(self._stopping.is_set, poll_seconds=0.05)
        except BaseException as error:
            self.error = error

    def stop(self, timeout_seconds: float = 10.0) -> bool:
        self._stopping.set()
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive(), "the poll loop does not end"
        return self.consumer.close(timeout_seconds)

    def failure(self) -> BaseException:
        """What ended it."""
        eventually(lambda: self.error is not None, "the consumer fails")
        assert self.error is not None
        return self.error

    def owned(self) -> set[int]:
        return {source.partition for source in self.consumer.metrics().partitions}


VICTIM_RECORDS = 50
VICTIM_POLICY = replace(POLICY, commit_seconds=1_000.0, threads=PARTITIONS)


class Victim(ABC):
    """A member in a process of its own, so to speak, which can be killed."""

    @abstractmethod
    def places(self) -> set[tuple[int, int]]:
        """Partitions and offsets that it has handled."""

    @abstractmethod
    def kill(self) -> None:
        """As SIGKILL does."""


@dataclass
class World(ABC):
    """A topic with its dead letters, and a group that reads it."""

    topic: str
    dead_topic: str
    group: str
    session_seconds: float
    producer: RecordProducer
    opened: ExitStack

    @abstractmethod
    def client(self, membership: Membership) -> GroupClient: ...

    @abstractmethod
    def hang(self) -> None: ...

    @abstractmethod
    def release(self) -> None: ...

    @abstractmethod
    def delete_before(self, partition: int, offset: int) -> None: ...

    @abstractmethod
    def committed(self) -> dict[int, int]: ...

    @abstractmethod
    def commit(self, partition: int, offset: int) -> None: ...

    @abstractmethod
    def dead_letters(self) -> list[Record]: ...

    @abstractmethod
    def victim(self) -> Victim:
        """A member that handles ``VICTIM_RECORDS`` of each partition, and never ends the next one."""

    def membership(self, instance_id: str | None = None, poll_seconds: float = 300.0) -> Membership:
        return Membership(self.group, [self.topic], instance_id, self.session_seconds, poll_seconds)

    def consumer(
        self,
        handler: Handler,
        policy: ConsumerPolicy = POLICY,
        instance_id: str | None = None,
        poll_seconds: float = 300,
    ) -> GroupConsumer:
        client = self.client(self.membership(instance_id, poll_seconds))
        return GroupConsumer(client, handler, DeadLetterWriter(self.producer, self.dead_topic, self.group), policy)

    def join(self, handler: Handler, policy: ConsumerPolicy = POLICY, **wish: Any) -> Member:
        member = Member(self.consumer(handler, policy, **wish))
        self.opened.callback(member.stop, 5.0)
        return member

    def write(self, values: Iterable[bytes], partition: int | None = None, key: bytes | None = None) -> None:
        records = [Record(self.topic, value, key, partition) for value in values]
        self.producer.send_all(records, DEADLINE_SECONDS)

    def write_evenly(self, count: int) -> None:
        """So many records for each partition."""
        for partition in range(PARTITIONS):
            self.write([b"%d:%d" % (partition, number) for number in range(count)], partition)

    def handled_all(self, handled: Handled, count: int) -> Callable[[], bool]:
        return lambda: len(handled.places()) == PARTITIONS * count

    def source(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)


class MemoryVictim(Victim):
    def __init__(self, world: MemoryWorld) -> None:
        self._handled, self._killed = Handled(), threading.Event()
        self._client = MemoryGroupClient(world.broker, world.membership())

        def handle(record: ConsumerRecord) -> None:
            if record.offset >= VICTIM_RECORDS:
                self._killed.wait()
            if self._killed.is_set():
                raise SystemExit
            self._handled(record)

        dead_letters = DeadLetterWriter(world.producer, world.dead_topic, world.group)
        Member(GroupConsumer(self._client, handle, dead_letters, VICTIM_POLICY))

    def places(self) -> set[tuple[int, int]]:
        return self._handled.places()

    def kill(self) -> None:
        self._client.kill()
        self._killed.set()


@dataclass
class MemoryWorld(World):
    broker: MemoryBroker

    def client(self, membership: Membership) -> GroupClient:
        return MemoryGroupClient(self.broker, membership)

    def hang(self) -> None:
        self.broker.hang()

    def release(self) -> None:
        self.broker.release()

    def delete_before(self, partition: int, offset: int) -> None:
        self.broker.delete_records(self.source(partition), offset)

    def committed(self) -> dict[int, int]:
        return {source.partition: offset for source, offset in self.broker.group(self.group).offsets.items()}

    def commit(self, partition: int, offset: int) -> None:
        self.broker.group(self.group).offsets[self.source(partition)] = offset

    def dead_letters(self) -> list[Record]:
        return self.broker.log(TopicPartition(self.dead_topic, 0))

    def victim(self) -> Victim:
        return MemoryVictim(self)


class KafkaVictim(Victim):
    def __init__(self, world: KafkaWorld) -> None:
        arguments = [world.bootstrap, world.group, world.topic, world.dead_topic, str(world.session_seconds)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kits.consumer_process", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._places: set[tuple[int, int]] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            partition, offset = line.split()
            self._places = self._places | {(int(partition), int(offset))}

    def places(self) -> set[tuple[int, int]]:
        return self._places

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(DEADLINE_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()


@dataclass
class KafkaWorld(World):
    bootstrap: str
    broker_pid: int

    def client(self, membership: Membership) -> GroupClient:
        return KafkaGroupClient(self.bootstrap, membership)

    def hang(self) -> None:
        os.kill(self.broker_pid, signal.SIGSTOP)

    def release(self) -> None:
        os.kill(self.broker_pid, signal.SIGCONT)

    def delete_before(self, partition: int, offset: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        place = confluent_kafka.TopicPartition(self.topic, partition, offset)
        for future in admin.delete_records([place]).values():
            future.result(DEADLINE_SECONDS)

    def committed(self) -> dict[int, int]:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with self._asking() as consumer:
            while True:
                try:
                    found = consumer.committed(self._places(), timeout=DEADLINE_SECONDS)
                except confluent_kafka.KafkaException:
                    # A broker that was stopped for some seconds must find its way back into the cluster first.
                    assert time.monotonic() < deadline
                else:
                    return {place.partition: place.offset for place in found if place.offset >= 0}

    def commit(self, partition: int, offset: int) -> None:
        with self._asking() as consumer:
            place = confluent_kafka.TopicPartition(self.topic, partition, offset)
            consumer.commit(offsets=[place], asynchronous=False)

    def dead_letters(self) -> list[Record]:
        with self._asking() as consumer:
            place = confluent_kafka.TopicPartition(self.dead_topic, 0)
            end = consumer.get_watermark_offsets(place, timeout=DEADLINE_SECONDS)[1]
            place.offset = 0
            consumer.assign([place])
            found = consumer.consume(end, DEADLINE_SECONDS) if end else []
        return [
            Record(self.dead_topic, message.value(), message.key(), headers=tuple(message.headers()))
            for message in found
        ]

    def victim(self) -> Victim:
        return KafkaVictim(self)

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        config = {"bootstrap.servers": self.bootstrap, "group.id": self.group, "fetch.wait.max.ms": 10}
        with closing(confluent_kafka.Consumer({**config, "enable.auto.commit": False})) as consumer:
            yield consumer

    def _places(self) -> Sequence[Any]:
        return [confluent_kafka.TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]


@contextmanager
def memory_world() -> Iterator[World]:
    name = f"contract.{uuid.uuid4().hex}"
    broker = MemoryBroker({name: PARTITIONS, f"{name}.dlq": 1})
    with ExitStack() as opened:
        yield MemoryWorld(name, f"{name}.dlq", name, 0.6, MemoryProducer(broker), opened, broker)


def create_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Make a topic, also on a broker that was stopped a moment ago and has no controller yet."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            # A client that met the broker without a controller does not ask for it again soon; a new one does.
            TopicAdmin(bootstrap, timeout_seconds=3.0).create(name, partitions, 1, {})
        except Unavailable:
            assert time.monotonic() < deadline, "the broker takes no topic"
        else:
            return


@contextmanager
def kafka_world(stack: Stack) -> Iterator[World]:
    name = f"contract.{uuid.uuid4().hex}"
    bootstrap = stack.urls.kafka
    create_topic(bootstrap, name, PARTITIONS)
    create_topic(bootstrap, f"{name}.dlq", 1)
    producer = Producer(bootstrap, client_id="contract", linger_ms=1)
    with ExitStack() as opened:
        opened.callback(producer.close, 5.0)
        # Six seconds is the shortest session that the broker takes.
        yield KafkaWorld(name, f"{name}.dlq", name, 6.0, producer, opened, bootstrap, stack.pid("kafka"))
