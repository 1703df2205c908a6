"""From what was asked for to what is started: which ports, which command lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ops.stack import specs
from ops.stack.disk import LOW_DISK_MB
from ops.stack.errors import StackError
from ops.stack.job import Job
from ops.stack.kafka_archive import prepared_kafka
from ops.stack.model import ADMIN_PORT_VARIABLE, DEFAULT_PORTS, PARTS, PORT_VARIABLES, SERVICES, Part, read_state
from ops.stack.ports import check_free, free_ports, is_free
from ops.stack.silence import HANG_SECONDS

Ports = Literal["default", "auto"] | Mapping[Part, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stack is asked to be; see `Stack` for the meaning of the fields."""

    ports: Ports
    brokers: int | None
    parts: frozenset[Part]
    external: Mapping[Part, str]
    start_timeout_seconds: float
    service_settings: Mapping[str, str] = field(default_factory=dict)
    hang_seconds: float = HANG_SECONDS
    low_disk_mb: int = LOW_DISK_MB

    def job(self, data_dir: Path) -> Job:
        """Work out the job for a data folder, downloading what is missing.

        Raises:
            StackError: it cannot be done; nothing was started.
        """
        previous = read_state(data_dir)
        brokers = self.brokers or (previous.brokers if previous else 1)
        if brokers not in (1, 3):
            raise StackError(f"Kafka runs with 1 or with 3 brokers, not with {brokers}")
        remembered = previous.ports if previous is not None and previous.brokers == brokers else {}
        external = {part: url for part, url in self.external.items() if part in self.parts}
        own: frozenset[Part] = self.parts - external.keys()
        names = specs.port_names(own, brokers)
        ports = choose_ports(names, self.ports, brokers, remembered)
        check_free({name: (part, ports[name]) for name, part in names.items()})
        urls = specs.urls_of(ports, brokers, external)
        services = [service for service in SERVICES if service in own]
        # Each service knows where the others listen, so that a page of one can link to another.
        settings = {PORT_VARIABLES[name]: str(ports[name]) for name in services}
        if specs.COLLECTOR_ADMIN in ports:
            settings[ADMIN_PORT_VARIABLE] = str(ports[specs.COLLECTOR_ADMIN])
        settings |= self.service_settings
        return Job(
            data_dir=str(data_dir),
            brokers=brokers,
            ports=ports,
            urls=urls,
            specs=_specs(data_dir, own, ports, brokers)
            + [specs.service_spec(name, data_dir, ports[name], urls, settings) for name in services],
            external=external,
            start_timeout_seconds=self.start_timeout_seconds,
            hang_seconds=self.hang_seconds,
            low_disk_mb=self.low_disk_mb,
        )


def choose_ports(
    names: Mapping[str, Part], asked: Ports, brokers: int, remembered: Mapping[str, int]
) -> dict[str, int]:
    """A port for every name of `specs.port_names`.

    A port asked for is taken as it is; one nobody asked for is that of the last time, else the usual one. `auto`, the
    controllers' and the collector's admin port, which no client uses, give way when somebody else has them by now.
    """
    fallback = dict(zip(names, free_ports(len(names)), strict=True))
    exact: Mapping[Part, int] = asked if isinstance(asked, Mapping) else {}
    first_broker = specs.kafka_names(brokers)[0]
    chosen: dict[str, int] = {}
    for name, part in names.items():
        last = remembered.get(name)
        if name == specs.COLLECTOR_ADMIN and asked != "auto" and last is None:
            last = chosen["collector"] + 1
        if asked == "auto" or name.endswith("-controller") or name == specs.COLLECTOR_ADMIN:
            chosen[name] = last if last is not None and is_free(last) else fallback[name]
        elif part in exact:
            chosen[name] = exact[part] + _place(name, part, brokers)
        elif last is not None:
            chosen[name] = last
        else:
            first = chosen.get(first_broker, DEFAULT_PORTS[part]) if part == "kafka" else DEFAULT_PORTS[part]
            chosen[name] = first + _place(name, part, brokers)
    return chosen


def _place(name: str, part: Part, brokers: int) -> int:
    return specs.kafka_names(brokers).index(name) if part == "kafka" else 0


def _specs(data_dir: Path, own: frozenset[Part], ports: Mapping[str, int], brokers: int) -> list[specs.ProcessSpec]:
    urls = specs.urls_of(ports, brokers, {})
    folders = {part: data_dir / part for part in own if part in PARTS}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    processes: list[specs.ProcessSpec] = []
    if "kafka" in own:
        processes += specs.kafka_specs(folders["kafka"], ports, brokers, prepared_kafka())
    if "mongo" in own:
        processes.append(specs.mongo_spec(folders["mongo"], urls, ports["mongo"]))
    if "clickhouse" in own:
        processes.append(specs.clickhouse_spec(folders["clickhouse"], urls, ports["clickhouse"]))
    if "redis" in own:
        processes.append(specs.redis_spec(folders["redis"], urls, ports["redis"]))
    return processes
