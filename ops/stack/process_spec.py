"""One process as the supervisor gets it: plain data, which goes to it and into the state file as JSON."""

import signal
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final, Literal

from runtime.supervision import ProcessState

PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])
"""Where Python finds the product's packages."""

Protocol = Literal[
    "kafka", "mongo", "clickhouse", "clickhouse sql", "redis", "connect", "service", "page", "answer"
]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a process is asked how it is.

    Attributes:
        protocol: `service` asks a service of ours for `/livez` and then `/readyz`; `page` asks for one page;
            `answer` asks for one, whatever it answers;
            `clickhouse` pings the embedded server, and `clickhouse sql` runs a query on one that runs elsewhere.
            `connect` asks a worker of Kafka Connect whether it goes on, and how its connectors are.
        path: the page; of a `service`, the one page of a version without `/livez`; of `connect`, the brokers, without
            which a worker cannot go on.
    """

    protocol: Protocol
    path: str = ""


SERVICE_CHECK: Final = HealthCheck("service", "/healthz")


class StopRank(IntEnum):
    """Who stops when: all of one rank together, the lowest first, so that nobody loses what it still writes to."""

    SENDERS = 0
    SERVICES = 1
    STORES = 2
    LOG = 3


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to run.

    Attributes:
        name: of the process; its log and its line in `status` have it.
        part: the name of its part or service in the registry; a part may have several processes.
        command: for the guard, without an interpreter of its own in front.
        url: where it serves.
        environment: what is added to the supervisor's own.
        check_url: where it is asked how it is; empty where that is `url`.
        check: how it is asked.
        stop_rank: when it stops.
        final_exits: exit codes after which starting it again cannot help, and the state that each leads to.
        wake_at_stop: it stops sooner where somebody connects to it.
        stop_signal: asks it to stop in order.
    """

    name: str
    part: str
    command: list[str]
    url: str
    environment: dict[str, str] = field(default_factory=dict)
    check_url: str = ""
    check: HealthCheck = SERVICE_CHECK
    stop_rank: int = StopRank.SERVICES
    final_exits: dict[int, ProcessState] = field(default_factory=dict)
    wake_at_stop: bool = False
    stop_signal: int = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class ExternalPart:
    """A part that runs elsewhere, and is only asked how it is."""

    name: str
    url: str
    check: HealthCheck
