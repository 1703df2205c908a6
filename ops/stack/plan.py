"""From what was asked for to what is started: which ports, which command lines."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops.stack.components import Launch, PartSpec
from ops.stack.disk.space import LOW_DISK_MB
from ops.stack.errors import StackError
from ops.stack.health.silence import HANG_SECONDS
from ops.stack.port_choice import Ports, check_free, choose_ports
from ops.stack.registry import REGISTRY, Registry
from ops.stack.state.model import Part, read_state
from ops.stack.supervisor.job import Job


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
    registry: Registry = REGISTRY
    requested: frozenset[Part] | None = None

    def job(self, data_dir: Path) -> Job:
        """Work out the job for a data folder, downloading what is missing.

        Raises:
            StackError: it cannot be done; nothing was started.
        """
        previous = read_state(data_dir)
        brokers = self.brokers or (previous.brokers if previous else 1)
        if brokers not in (1, 3):
            raise StackError(f"Kafka runs with 1 or with 3 brokers, not with {brokers}")
        remembered: dict[str, int] = {}
        if previous is not None and previous.brokers == brokers:
            remembered = previous.earlier_ports | previous.ports
        chosen = self.registry.chosen(self.parts)
        external = [
            component.external(self.external[component.name])
            for component in chosen
            if isinstance(component, PartSpec) and component.name in self.external
        ]
        elsewhere = {part.name: part.url for part in external}
        own = [component for component in chosen if component.name not in elsewhere]
        ports = choose_ports(own, self.ports, brokers, remembered)
        check_free(own, brokers, ports)
        urls = self.registry.urls(ports, brokers, elsewhere)
        given = self.registry.settings_for_others(ports, {**os.environ, **self.service_settings})
        variables = {**self.registry.port_settings(ports), **self.service_settings, **given}
        requested = frozenset(previous.requested if previous else ()) if self.requested is None else self.requested
        launch = Launch(data_dir, ports, brokers, urls, variables)
        return Job(
            data_dir=str(data_dir),
            brokers=brokers,
            ports=ports,
            urls=urls,
            specs=[process for component in own for process in component.processes(launch)],
            external=external,
            start_timeout_seconds=self.start_timeout_seconds,
            hang_seconds=self.hang_seconds,
            low_disk_mb=self.low_disk_mb,
            left_out=[name for name in self.registry.usual if name not in self.parts],
            requested=sorted(requested),
            earlier_ports={name: port for name, port in remembered.items() if name not in ports},
        )
