"""Topics: what there is, and making what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package does not list what it exports
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from connectors.errors import Refused, Unavailable
from connectors.kafka.authentication import AuthenticationWatch, new_client
from connectors.kafka.client_config import KafkaConnection, client_config

_TIMEOUT_SECONDS: Final = 15.0
_KNOWN_SECONDS: Final = 0.02


@dataclass(frozen=True)
class ActualTopic:
    """A topic as the broker has it; ``replicas`` is how many brokers keep the partition that the fewest keep."""

    partitions: int
    replicas: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class TopicIdentity:
    """Which topic it is.

    Attributes:
        topic_id: Kafka's own; a topic that was deleted and made again has another.
        partitions: How many it has; they can only become more.
    """

    topic_id: str
    partitions: int


class TopicAdmin:
    """Reads and creates topics. Every call raises ``AuthenticationFailed``, quickly, if brokers do not accept the user.

    Args:
        kafka: Where Kafka is and how to connect; a bootstrap list alone means no encryption and no user.
        timeout_seconds: How long a question may take.
    """

    def __init__(self, kafka: KafkaConnection | str, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self._connections = AuthenticationWatch()
        self._admin = new_client(AdminClient, client_config(kafka, "admin", {"error_cb": self._connections.on_error}))

    def broker_count(self) -> int:
        """How many brokers are up.

        Raises:
            Unavailable: None answers.
        """
        return len(self._metadata().brokers)

    def describe(self, names: Iterable[str]) -> dict[str, ActualTopic]:
        """Those of the topics that exist; one that a broker has not heard of yet is left out.

        Raises:
            Unavailable: No broker answers.
        """
        known = self._metadata().topics
        present = [name for name in names if name in known]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in present]
        found = {}
        if not resources:
            return {}
        for resource, future in self._admin.describe_configs(resources, request_timeout=self._timeout).items():
            try:
                entries = future.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise _typed(error) from error
            settings = {name: str(entry.value) for name, entry in entries.items()}
            partitions = known[resource.name].partitions
            replicas = min((len(partition.replicas) for partition in partitions.values()), default=0)
            found[resource.name] = ActualTopic(len(partitions), replicas, settings)
        return found

    def identity(self, name: str) -> TopicIdentity | None:
        """Which topic has that name now; None if none has.

        Raises:
            Unavailable: No broker answers.
            Refused: The broker refuses to say.
        """
        self._connect()
        asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)
        try:
            found = asked[name].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise _typed(error) from error
        return TopicIdentity(str(found.topic_id), len(found.partitions))

    def create(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Make a topic, and return when it is known; one that another process made meanwhile is as good.

        Raises:
            Unavailable: No broker answers, or the topic is not known in time.
            Refused: The broker does not take the declaration, or refuses to say what it knows.
        """
        self._connect()
        new = NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=dict(settings))
        for future in self._admin.create_topics([new], request_timeout=self._timeout).values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise _typed(error) from error
        # A controller says that it is made before brokers say that it is there, and before they list it.
        deadline = time.monotonic() + self._timeout
        while self.identity(name) is None or name not in self._metadata().topics:
            if time.monotonic() >= deadline:
                raise Unavailable(f"Kafka: {name} was made, but no broker knows it: not yet, or it was deleted")
            time.sleep(_KNOWN_SECONDS)

    def _connect(self) -> None:
        # Questions that are answered by a future wait out their time where the client is not let in.
        if not self._connections.connected:
            self._metadata()

    def _metadata(self) -> Any:
        admin = self._admin
        try:
            return self._connections.ask(
                lambda seconds: admin.list_topics(timeout=seconds), lambda: admin.poll(0), self._timeout
            )
        except KafkaException as error:
            raise _typed(error) from error


def _typed(error: KafkaException) -> Exception:
    cause: KafkaError = error.args[0]
    kind = Unavailable if cause.retriable() or cause.code() < 0 else Refused
    return kind(f"Kafka: {cause.str()}")
