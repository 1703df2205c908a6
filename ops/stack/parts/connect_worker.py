"""A worker of Kafka Connect: its command line and its settings."""

import os
from pathlib import Path
from typing import Final

from connectors.debezium.declared import CONNECTORS
from connectors.kafka.client_config import KafkaSecurity
from marketplace.topics import CONNECT_CONFIGS, CONNECT_OFFSETS, CONNECT_STATUSES, Topic
from ops.stack.parts.kafka_nodes import with_archive
from ops.stack.ports import HOST
from runtime.sections import KAFKA_SASL_PASSWORD

CONNECT_MAIN: Final = "org.apache.kafka.connect.cli.ConnectDistributed"
_STRINGS: Final = "org.apache.kafka.connect.storage.StringConverter"
_ENVIRONMENT: Final = "org.apache.kafka.common.config.provider.EnvVarConfigProvider"
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_REPLICAS_OF_THE_BROKERS: Final = -1
_CLIENTS: Final = ("", "producer.", "consumer.", "admin.")
"""The worker's own clients, and those of its connectors, which have settings of their own."""


def write_worker(path: Path, port: int, kafka: str, brokers: int | None, security: KafkaSecurity) -> Path:
    """Write the file of :func:`worker_settings`; returns its path."""
    settings = worker_settings(port, kafka, brokers, security)
    path.write_text("".join(f"{key}={escaped(str(value), '')}\n" for key, value in settings.items()))
    return path


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
        user = escaped(security.username, '"')
        settings["sasl.mechanism"] = security.mechanism
        settings["sasl.jaas.config"] = f'{module} required username="{user}" password="{password}";'
    return settings


def escaped(text: str, quote: str) -> str:
    """A text in which a backslash, and a quote where there is one, stand for themselves."""
    doubled = text.replace("\\", "\\\\")
    return doubled.replace(quote, f"\\{quote}") if quote else doubled


def connect_java(java: str, jars: Path, archive: Path | None = None) -> list[str]:
    """The beginning of every command line of Connect; `MARKETPLACE_CONNECT_OPTS` comes last and wins."""
    run = [java, "-cp", f"{jars}/*", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    run += with_archive(archive)
    run += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    return [*run, "-Djava.awt.headless=true", *os.environ.get("MARKETPLACE_CONNECT_OPTS", "").split()]
