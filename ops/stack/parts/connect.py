"""Kafka Connect: one worker, with Debezium's connector for MongoDB."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connectors.debezium.declared import CONNECTORS
from connectors.kafka.client_config import KafkaSecurity
from marketplace.topics import CONNECT_CONFIGS, CONNECT_OFFSETS, CONNECT_STATUSES, Topic
from ops.stack.components import Launch, PartSpec
from ops.stack.parts.kafka_jars import CONNECT_JARS, ensure_jars, find_java
from ops.stack.parts.kafka_nodes import kafka_names
from ops.stack.ports import HOST
from ops.stack.process_spec import HealthCheck, ProcessSpec
from runtime.sections import DATABASE_NAME, KAFKA_SASL_PASSWORD, MONGO_URL, read_security
from runtime.settings import load

_MAIN: Final = "org.apache.kafka.connect.cli.ConnectDistributed"
_STRINGS: Final = "org.apache.kafka.connect.storage.StringConverter"
_ENVIRONMENT: Final = "org.apache.kafka.common.config.provider.EnvVarConfigProvider"
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_REPLICAS_OF_THE_BROKERS: Final = -1
_CLIENTS: Final = ("", "producer.", "consumer.", "admin.")
"""The worker's own clients, and those of its connectors, which have settings of their own."""


class Connect(PartSpec):
    """A worker waits for Kafka by itself, and its connectors for Mongo."""

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """The REST interface."""
        del brokers
        return f"http://{HOST}:{ports[self.name]}" if self.name in ports else ""

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one worker; what Java and Connect need is downloaded where it is missing."""
        properties = self.folder(launch) / "worker.properties"
        security = load({**os.environ, **launch.variables}, read_security)
        # How many replicas brokers that run elsewhere have room for is theirs to say.
        brokers = launch.brokers if set(kafka_names(launch.brokers)) <= set(launch.ports) else None
        settings = worker_settings(launch.ports[self.name], launch.urls.kafka, brokers, security)
        properties.write_text("".join(f"{key}={_escaped(str(value), '')}\n" for key, value in settings.items()))
        database = launch.variables.get(DATABASE_NAME.name) or os.environ.get(DATABASE_NAME.name)
        return [
            ProcessSpec(
                self.name,
                self.name,
                [*_java(find_java(), ensure_jars(CONNECT_JARS)), _MAIN, str(properties)],
                self.url(launch.ports, launch.brokers),
                # The connectors' files name these; Connect itself keeps none of their values.
                environment={
                    MONGO_URL.name: launch.urls.mongo,
                    DATABASE_NAME.name: database or DATABASE_NAME.default,
                    # It is put between quotes.
                    KAFKA_SASL_PASSWORD.name: _escaped(security.password, '"'),
                },
                check=HealthCheck("connect", launch.urls.kafka),
                stop_rank=self.stop_rank,
            )
        ]


def worker_settings(port: int, kafka: str, brokers: int | None, security: KafkaSecurity) -> dict[str, object]:
    """The settings of a worker, by Connect's own names; there is no password in them.

    Args:
        port: Of its REST interface.
        kafka: The bootstrap list.
        brokers: How many there are; None where that is not known.
        security: How Kafka's clients prove who they are.
    """
    return {
        "bootstrap.servers": kafka,
        "group.id": "marketplace.connect",
        "client.id": "marketplace.connect",
        "listeners": f"http://{HOST}:{port}",
        "rest.advertised.host.name": HOST,
        **_storage("config", CONNECT_CONFIGS, brokers),
        **_storage("offset", CONNECT_OFFSETS, brokers),
        **_storage("status", CONNECT_STATUSES, brokers),
        # Topics are declared with the others: a connector that names another one fails instead of making it.
        "topic.creation.enable": "false",
        "plugin.discovery": "service_load",
        "key.converter": _STRINGS,
        "value.converter": _STRINGS,
        "config.providers": "env",
        "config.providers.env.class": _ENVIRONMENT,
        "config.providers.env.param.allowlist.pattern": "|".join(sorted(_variables())),
        # After a kill the next worker waits until the group has missed the one before.
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 1_000,
        "rebalance.timeout.ms": 6_000,
        "scheduled.rebalance.max.delay.ms": 0,
        # What was sent since is sent again after a kill.
        "offset.flush.interval.ms": 1_000,
        # So long a task that fails waits for records that never arrive, before it says so.
        "offset.flush.timeout.ms": 1_000,
        "task.shutdown.graceful.timeout.ms": 2_000,
        **{f"{client}{key}": value for client in _CLIENTS for key, value in _secured(security).items()},
    }


def _variables() -> set[str]:
    return {KAFKA_SASL_PASSWORD.name}.union(*(connector.variables for connector in CONNECTORS))


def _storage(kind: str, topic: Topic, brokers: int | None) -> dict[str, object]:
    """A topic of its own, as it is declared: a worker that is there before anybody has made the topic makes it."""
    settings: dict[str, object] = {"topic": topic.name, "replication.factor": _REPLICAS_OF_THE_BROKERS}
    # The topic of configurations cannot have several partitions, and there is no setting for it.
    if kind != "config":
        settings["partitions"] = topic.partitions
    if brokers is not None:
        replicas = topic.replicas(brokers)
        # Compaction is Connect's own choice, which it lets nobody else make.
        settings |= {name: value for name, value in topic.settings(replicas).items() if name != "cleanup.policy"}
        settings["replication.factor"] = replicas
    return {f"{kind}.storage.{name}": value for name, value in settings.items()}


def _secured(security: KafkaSecurity) -> dict[str, object]:
    settings: dict[str, object] = {"security.protocol": security.protocol}
    if security.ca_file:
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": security.ca_file}
    if security.username:
        module = _PLAIN if security.mechanism == "PLAIN" else _SCRAM
        password = f"${{env:{KAFKA_SASL_PASSWORD.name}}}"
        user = _escaped(security.username, '"')
        settings["sasl.mechanism"] = security.mechanism
        settings["sasl.jaas.config"] = f'{module} required username="{user}" password="{password}";'
    return settings


def _escaped(text: str, quote: str) -> str:
    """A text in which a backslash, and a quote where there is one, stand for themselves."""
    doubled = text.replace("\\", "\\\\")
    return doubled.replace(quote, f"\\{quote}") if quote else doubled


def _java(java: str, jars: Path) -> list[str]:
    run = [java, "-cp", f"{jars}/*", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    run += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    return [*run, "-Djava.awt.headless=true", *os.environ.get("MARKETPLACE_CONNECT_OPTS", "").split()]
