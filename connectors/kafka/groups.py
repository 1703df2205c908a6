"""Consumer groups as the brokers have them: whether somebody is in one, and how far it is behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from connectors.errors import Unavailable
from connectors.kafka.authentication import AuthenticationWatch, new_client
from connectors.kafka.client_config import KafkaConnection, client_config
from connectors.kafka.reader import PartitionReader

_TIMEOUT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.1

RETRIABLE: Final = frozenset(
    {
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""With what a broker answers a request about a group that it, or another one, will answer in a moment: so does a fresh
one, until it has the topic of offsets. The client's own `retriable()` is never true of answers to an admin."""

T = TypeVar("T")


@dataclass(frozen=True)
class ActualGroup:
    """A consumer group.

    Attributes:
        members: How many consumers are in it; 0 where nobody runs.
        lag: Records of the topic that it has not committed; those that expired are not among them.
    """

    members: int
    lag: int


def read_groups(
    kafka: KafkaConnection | str, topic: str, names: Sequence[str], timeout_seconds: float = _TIMEOUT_SECONDS
) -> dict[str, ActualGroup]:
    """Groups of one topic by name; one that nobody has ever been in has not read anything.

    Args:
        kafka: Where Kafka is and how to connect; a bootstrap list alone means no encryption and no user.
        topic: The topic that they read.
        names: Of the groups.
        timeout_seconds: How long a question may take.

    Raises:
        Unavailable: Kafka does not answer.
        Refused: There is no such topic.
    """
    with closing(PartitionReader(kafka, topic, "ops.groups", timeout_seconds=timeout_seconds)) as reader:
        ranges = {partition: reader.range_of(partition) for partition in reader.partitions()}
    connections = AuthenticationWatch()
    admin = new_client(AdminClient, client_config(kafka, "ops.groups", {"error_cb": connections.on_error}))
    try:
        members = answered(partial(_members, admin, names), timeout_seconds)
        read = {name: answered(partial(_offsets, admin, name, topic), timeout_seconds) for name in names}
    except (KafkaException, TimeoutError) as error:
        raise Unavailable(f"Kafka does not answer: {error}") from error
    return {
        name: ActualGroup(
            members[name], sum(high - max(low, read[name].get(part, low)) for part, (low, high) in ranges.items())
        )
        for name in names
    }


def answered(
    ask: Callable[[float], T],
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """What a question about groups is answered with, which is asked until the answer is none of :data:`RETRIABLE`.

    Args:
        ask: The question; gets the seconds that are left for it.
        timeout_seconds: For all of it.
        clock: Seconds from some moment on.
        pause: Waits.

    Raises:
        KafkaException: Another answer, or the last one in time.
        TimeoutError: There is none.
    """
    deadline = clock() + timeout_seconds
    while True:
        try:
            return ask(deadline - clock())
        except KafkaException as error:
            if error.args[0].code() not in RETRIABLE or clock() + _PAUSE_SECONDS >= deadline:
                raise
        pause(_PAUSE_SECONDS)


def _members(admin: AdminClient, names: Sequence[str], seconds: float) -> dict[str, int]:
    described = admin.describe_consumer_groups(list(names), request_timeout=seconds)
    return {name: len(future.result(seconds).members) for name, future in described.items()}


def _offsets(admin: AdminClient, group: str, topic: str, seconds: float) -> dict[int, int]:
    wanted = [ConsumerGroupTopicPartitions(group)]
    asked = admin.list_consumer_group_offsets(wanted, request_timeout=seconds)
    found = asked[group].result(seconds).topic_partitions
    return {place.partition: place.offset for place in found if place.topic == topic and place.offset >= 0}
