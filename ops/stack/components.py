"""What an entry of the registry says: a part (somebody else's server) or a service (a process of ours)."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from marketplace.settings import ALL_PARTS, Urls
from ops.resources import Resources
from ops.stack.ports import HOST, PortSpec
from ops.stack.process_spec import PACKAGE_ROOT, SERVICE_CHECK, ExternalPart, HealthCheck, ProcessSpec, StopRank
from runtime.supervision import ProcessState


@dataclass(frozen=True, slots=True)
class Launch:
    """What command lines are made from.

    Attributes:
        data_dir: the stack's data folder.
        ports: by the names of `Component.ports`.
        brokers: Kafka's.
        urls: of the parts, also of those that run elsewhere.
        variables: settings of the services by their names in the environment.
    """

    data_dir: Path
    ports: Mapping[str, int]
    brokers: int
    urls: Urls
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Component(ABC):
    """One part or service of the stack.

    Attributes:
        name: as in commands, logs, the state file and names of variables: a-z, 0-9 and _.
        title: as a person reads it.
        default_port: where it listens unless somebody says otherwise; None for a free port.
        check: how it is asked how it is.
        stop_rank: when it stops; all processes start together, and each waits for what it needs.
        needs: names of what it cannot work without.
        memory: what it takes of the machine's memory, in a few words.
        on_demand: `marketplace up` does not start it.
        on_request: `marketplace up` starts it only where its option asks for it, or did the last time.
    """

    name: str
    title: str
    default_port: int | None
    check: HealthCheck
    stop_rank: StopRank
    needs: tuple[str, ...] = ()
    memory: str = ""
    on_demand: bool = False
    on_request: bool = False

    @property
    def port_option(self) -> str:
        """The option of `marketplace up` that chooses its port."""
        return f"--{self.name.replace('_', '-')}-port"

    @property
    def port_variable(self) -> str:
        """The variable that chooses its port, and says to the others where it listens."""
        return f"MARKETPLACE_{self.name.upper()}_PORT"

    @property
    def request_option(self) -> str:
        """The option of `marketplace up` that asks for it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def refusal_option(self) -> str:
        """The opposite option."""
        return f"--no-{self.name.replace('_', '-')}"

    def ports(self, brokers: int) -> tuple[PortSpec, ...]:
        """Its ports; the first one is that of its URL."""
        del brokers
        return (PortSpec(self.name, self.default_port),)

    @abstractmethod
    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """Its URL, given all ports; empty where none of them is its own."""

    @abstractmethod
    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """Its processes; makes what they need in the data folder.

        Raises:
            StackError: a program is missing, or the folder belongs to something else.
        """


class PartSpec(Component):
    """A part: a server that the product does not own, embedded here or named by a URL.

    Its name is that of a field of `Urls`, because the product's code knows each part by its client.
    """

    @property
    def url_variable(self) -> str:
        """The variable that names one which runs elsewhere."""
        return url_variable(self.name)

    @property
    def check_elsewhere(self) -> HealthCheck:
        """How one that runs elsewhere is asked."""
        return self.check

    def external(self, url: str) -> ExternalPart:
        """The part at that URL."""
        return ExternalPart(self.name, url, self.check_elsewhere)

    def folder(self, launch: Launch) -> Path:
        """Where it keeps its data; made here."""
        folder = launch.data_dir / self.name
        folder.mkdir(exist_ok=True)
        return folder


def _accept(environment: Mapping[str, str]) -> object:
    return environment


@dataclass(frozen=True, kw_only=True)
class ServiceSpec(Component):
    """A service: `python -m MODULE ARGUMENTS`, with its settings in the environment.

    Several services may run the same module with different arguments.

    Attributes:
        module: what is run.
        arguments: what follows it.
        environment: settings that it always has.
        listen_variable: the variable from which the module reads its port; `port_variable` by default. Services that
            share a module share it.
        admin_port_variable: the variable of a second port, at which it is asked how it is; empty where there is none.
        resources: what it finds in the parts, made before it starts.
        check_settings: reads its settings from an environment, and raises InvalidSettings where they cannot be used.
        final_exits: see `ProcessSpec`.
        also_asks: parts whose URLs it refuses to start without, beside those that hold what the product knows.
    """

    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    listen_variable: str = ""
    admin_port_variable: str = ""
    resources: Resources = field(default_factory=Resources)
    check_settings: Callable[[Mapping[str, str]], object] = _accept
    check: HealthCheck = SERVICE_CHECK
    stop_rank: StopRank = StopRank.SERVICES
    final_exits: Mapping[int, ProcessState] = field(default_factory=lambda: {2: ProcessState.REFUSED})
    also_asks: tuple[str, ...] = ()

    @property
    def asks(self) -> tuple[str, ...]:
        """The parts whose URLs it refuses to start without."""
        return (*(part for part in self.needs if part in ALL_PARTS), *self.also_asks)

    @property
    def admin_port_name(self) -> str:
        """The name of its second port."""
        return f"{self.name}-admin"

    def ports(self, brokers: int) -> tuple[PortSpec, ...]:
        """Its port, and its admin port: the one after it, where nobody has it."""
        public = super().ports(brokers)
        if not self.admin_port_variable:
            return public
        return (*public, PortSpec(self.admin_port_name, after=self.name, gives_way=True))

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """Its pages."""
        del brokers
        return f"http://{HOST}:{ports[self.name]}" if self.name in ports else ""

    def settings_for_others(self, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
        """Settings that it gives to the other services where it runs.

        Args:
            ports: Of all that is to run.
            environment: What the services find in the environment; these settings take its place.
        """
        del ports, environment
        return {}

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one process."""
        return [self.process(launch)]

    def process(self, launch: Launch) -> ProcessSpec:
        """The one process; it waits for its parts by itself."""
        settings = launch.urls.environment() | {"MARKETPLACE_DATA": str(launch.data_dir), "PYTHONPATH": PACKAGE_ROOT}
        settings |= {**launch.variables, **self.environment}
        settings[self.listen_variable or self.port_variable] = str(launch.ports[self.name])
        admin_port = launch.ports.get(self.admin_port_name)
        if admin_port is not None:
            settings[self.admin_port_variable] = str(admin_port)
        return ProcessSpec(
            self.name,
            self.name,
            [sys.executable, "-m", self.module, *self.arguments],
            self.url(launch.ports, launch.brokers),
            settings,
            f"http://{HOST}:{admin_port}" if admin_port is not None else "",
            self.check,
            self.stop_rank,
            dict(self.final_exits),
        )


def url_variable(part: str) -> str:
    """The variable with the URL of a part."""
    return f"MARKETPLACE_{part.upper()}_URL"


def joined(given: str, *more: str) -> str:
    """A list with commas in it, with more values behind those that it has, each once."""
    return ",".join(dict.fromkeys([*filter(None, map(str.strip, given.split(","))), *more]))
