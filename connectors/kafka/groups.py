"""Consumer groups as the brokers have them: whether somebody is in one, and how far it is behind."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from connectors.errors import Unavailable
from connectors.kafka.authentication import AuthenticationWatch, new_client
from connectors.kafka.client_config import KafkaConnection, client_config
from connectors.kafka.reader import PartitionReader

_TIMEOUT_SECONDS: Final = 10.0


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
        described = admin.describe_consumer_groups(list(names), request_timeout=timeout_seconds)
        members = {name: len(future.result(timeout_seconds).members) for name, future in described.items()}
        read = {name: _offsets(admin, name, topic, timeout_seconds) for name in names}
    except (KafkaException, TimeoutError) as error:
        raise Unavailable(f"Kafka does not answer: {error}") from error
    return {
        name: ActualGroup(
            members[name], sum(high - max(low, read[name].get(part, low)) for part, (low, high) in ranges.items())
        )
        for name in names
    }


def _offsets(admin: AdminClient, group: str, topic: str, timeout_seconds: float) -> dict[int, int]:
    wanted = [ConsumerGroupTopicPartitions(group)]
    asked = admin.list_consumer_group_offsets(wanted, request_timeout=timeout_seconds)
    found = asked[group].result(timeout_seconds).topic_partitions
    return {place.partition: place.offset for place in found if place.topic == topic and place.offset >= 0}
