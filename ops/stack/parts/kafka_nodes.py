"""The processes of the embedded Kafka: KRaft nodes, each broker and controller in one."""

import base64
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError
from ops.stack.ports import HOST
from ops.stack.process_spec import HealthCheck, ProcessSpec, StopRank
from runtime.parent_death import prepared_once

KAFKA_CHECK: Final = HealthCheck("kafka")


def kafka_names(brokers: int) -> list[str]:
    """The names of the broker processes."""
    return ["kafka"] if brokers == 1 else [f"kafka-{number}" for number in range(1, brokers + 1)]


def kafka_java(java: str, jars: Path, archive: Path | None = None) -> list[str]:
    """The beginning of every command line of Kafka.

    A broker of one machine is idle most of its life and started often: code that is compiled quickly and a collector
    without threads of its own are up in half the processor time. `MARKETPLACE_KAFKA_OPTS` comes last and wins.
    """
    run = [java, "-cp", f"{jars}/*", "-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    run += [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"] if archive else []
    run += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    return [*run, "-Djava.awt.headless=true", *os.environ.get("MARKETPLACE_KAFKA_OPTS", "").split()]


def kafka_specs(
    data_dir: Path, ports: Mapping[str, int], brokers: int, java: Sequence[str], options: Sequence[str] = ()
) -> list[ProcessSpec]:
    """One KRaft node per broker, each broker and controller in one.

    Args:
        data_dir: Kafka's own folder.
        ports: By the names of the brokers and `NAME-controller`.
        brokers: How many.
        java: What `kafka_java` gave.
        options: Of Java, for the broker only and not for what formats its storage.
    """
    identity = data_dir / f"cluster-of-{brokers}.id"
    others = [path for path in data_dir.glob("cluster-of-*.id") if path != identity]
    if others:
        text = "this data folder belongs to a Kafka cluster of another size"
        raise StackError(f"{text} ({others[0].stem}): use that --brokers, or another --data")
    if not identity.exists():
        identity.write_text(new_cluster_id())
    names = kafka_names(brokers)
    voters = ",".join(f"{node}@{HOST}:{ports[f'{name}-controller']}" for node, name in enumerate(names, start=1))
    specs = []
    for node, name in enumerate(names, start=1):
        folder = data_dir / f"node-{node}"
        folder.mkdir(parents=True, exist_ok=True)
        properties = folder / "server.properties"
        properties.write_text(kafka_properties(folder, node, ports[name], ports[f"{name}-controller"], voters, brokers))
        format_storage = [*java, "kafka.tools.StorageTool", "format", "-t", identity.read_text().strip()]
        format_storage += ["-c", str(properties), "--ignore-formatted"]
        command = prepared_once(folder / "formatted", format_storage, [*java, *options, "kafka.Kafka", str(properties)])
        address = f"{HOST}:{ports[name]}"
        specs.append(ProcessSpec(name, "kafka", command, address, check=KAFKA_CHECK, stop_rank=StopRank.LOG))
    return specs


def new_cluster_id() -> str:
    """A random id in Kafka's spelling: 22 characters of URL-safe base64, the first of them no hyphen."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return new_cluster_id() if text.startswith("-") else text


def kafka_properties(folder: Path, node: int, port: int, controller_port: int, voters: str, brokers: int) -> str:
    """The settings of one node, as its file has them."""
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"BROKER://{HOST}:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "log.dirs": folder / "log",
        "num.partitions": 4,
        "auto.create.topics.enable": "false",
        "default.replication.factor": brokers,
        "min.insync.replicas": max(1, brokers - 1),
        "offsets.topic.replication.factor": brokers,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": brokers,
        "transaction.state.log.min.isr": max(1, brokers - 1),
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": brokers,
        "share.coordinator.state.topic.min.isr": max(1, brokers - 1),
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        # After a kill the controller must first miss the dead broker; the defaults make a restart wait 9 s longer.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "log.segment.bytes": 128 * 1024 * 1024,
        "message.max.bytes": 10 * 1024 * 1024,
        "replica.fetch.max.bytes": 10 * 1024 * 1024,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
