"""Settings of a stack's services, read and checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.config import ApiConfig
from ingest.config import Addresses, CollectorConfig
from runtime.admin import LOOPBACK
from runtime.logs import LogSettings
from runtime.sections import (
    DASHBOARD_API_URL,
    DASHBOARD_PORT,
    KAFKA_SECURITY_PROTOCOL,
    KAFKA_URL,
    PaymentSettings,
)
from runtime.settings import EnvReader, Section, load

FLOW: Final = Section("Flows", "For the service of a flow; docs/reference/flow.md says more.")
FLOW_WORKERS: Final = FLOW.whole(
    "MARKETPLACE_FLOW_WORKERS", "Processes, each with a share of the topics' partitions.", 1, lowest=1, highest=64
)
FLOW_MEMORY_MB: Final = FLOW.whole(
    "MARKETPLACE_FLOW_MEMORY_MB",
    "Memory in MB for the state of all of them together; 0 for a third of the machine's or container's.",
    0,
    highest=(1 << 30) - 1,
)
FLOW_HOST: Final = FLOW.text(
    "MARKETPLACE_FLOW_HOST",
    "The address of `/livez`, `/readyz` and `/metrics`; `0.0.0.0` in a container, whose probes come from outside.",
    LOOPBACK,
)
FLOW_PORT: Final = FLOW.port(
    "MARKETPLACE_FLOW_PORT",
    "Their port; 0 takes a free one.",
    0,
    default_text="0; 19464 with `marketplace up` and `run`",
)
RELAY: Final = Section("Relay", "For the service that looks after the connector of the outbox.")
RELAY_HOST: Final = RELAY.text(
    "MARKETPLACE_RELAY_HOST",
    "The address of `/livez`, `/readyz` and `/metrics`; `0.0.0.0` in a container, whose probes come from outside.",
    LOOPBACK,
)
RELAY_PORT: Final = RELAY.port(
    "MARKETPLACE_RELAY_PORT",
    "Their port; 0 takes a free one.",
    0,
    default_text="0; 19466 with `marketplace up` and `run`",
)
RELAY_NEEDS: Final = ("kafka", "mongo", "connect")
"""The parts that it cannot work without."""


CONSUMERS: Final = Section("Consumers", "For the service of the consumers of orders' events.")
CONSUMERS_HOST: Final = CONSUMERS.text(
    "MARKETPLACE_CONSUMERS_HOST",
    "The address of `/livez`, `/readyz` and `/metrics`; `0.0.0.0` in a container, whose probes come from outside.",
    LOOPBACK,
)
CONSUMERS_PORT: Final = CONSUMERS.port(
    "MARKETPLACE_CONSUMERS_PORT",
    "Their port; 0 takes a free one.",
    0,
    default_text="0; 19467 with `marketplace up` and `run`",
)
CONSUMERS_SESSION_SECONDS: Final = CONSUMERS.whole(
    "MARKETPLACE_CONSUMERS_SESSION_SECONDS",
    "After so many seconds without a sign of life the events of a process go to others.",
    10,
    lowest=6,
    highest=60,
)


@dataclass(frozen=True)
class ConsumerSettings:
    """Settings of the consumers' service.

    Attributes:
        host: The address of its health and metrics.
        port: Their port; 0 for a free one.
        session_seconds: After so long without a sign of life the events of a process go to others.
    """

    host: str
    port: int
    session_seconds: float

    @staticmethod
    def read(env: EnvReader) -> ConsumerSettings:
        """Read the section of consumers."""
        return ConsumerSettings(env.read(CONSUMERS_HOST), env.read(CONSUMERS_PORT), env.read(CONSUMERS_SESSION_SECONDS))

    @staticmethod
    def load(environment: Mapping[str, str]) -> ConsumerSettings:
        """Read the environment.

        Raises:
            InvalidSettings: Values cannot be used; the message names the variables and what they may be.
        """
        return load(environment, ConsumerSettings.read)


@dataclass(frozen=True)
class FlowSettings:
    """Settings of a flow's service.

    Attributes:
        workers: The number of processes.
        memory_mb: Memory for the state of all of them together; 0 for a third of the machine's or container's.
        host: The address of its health and metrics.
        port: Their port; 0 for a free one.
    """

    workers: int
    memory_mb: int
    host: str
    port: int

    @staticmethod
    def read(env: EnvReader) -> FlowSettings:
        """Read the section of flows."""
        return FlowSettings(env.read(FLOW_WORKERS), env.read(FLOW_MEMORY_MB), env.read(FLOW_HOST), env.read(FLOW_PORT))

    @staticmethod
    def load(environment: Mapping[str, str]) -> FlowSettings:
        """Read the environment.

        Raises:
            InvalidSettings: Values cannot be used; the message names the variables and what they may be.
        """
        return load(environment, FlowSettings.read)


@dataclass(frozen=True)
class RelaySettings:
    """Where the relay's health and metrics are; port 0 is a free one."""

    host: str
    port: int

    @staticmethod
    def read(env: EnvReader) -> RelaySettings:
        """Read the section of the relay."""
        return RelaySettings(env.read(RELAY_HOST), env.read(RELAY_PORT))


def check_relay(environment: Mapping[str, str]) -> None:
    """Check the settings of the relay.

    Raises:
        InvalidSettings: Values cannot be used; the message names the variables.
    """

    def read(env: EnvReader) -> None:
        _read_common(env)
        RelaySettings.read(env)

    load(environment, read)


def check_collector(environment: Mapping[str, str]) -> None:
    """Check the settings of the collector.

    Raises:
        InvalidSettings: Values cannot be used; the message names the variables.
    """

    def read(env: EnvReader) -> None:
        _read_common(env)
        CollectorConfig.read(env)
        Addresses.read(env)

    load(environment, read)


def check_flow(environment: Mapping[str, str]) -> None:
    """Check the settings of a flow's service.

    Raises:
        InvalidSettings: Values cannot be used; the message names the variables.
    """

    def read(env: EnvReader) -> None:
        _read_common(env)
        FlowSettings.read(env)

    load(environment, read)


def check_consumers(environment: Mapping[str, str]) -> None:
    """Check the settings of the consumers' service.

    Raises:
        InvalidSettings: Values cannot be used; the message names the variables.
    """

    def read(env: EnvReader) -> None:
        _read_common(env)
        ConsumerSettings.read(env)
        # Their secrets are looked at when it starts: `up` makes those of its sandbox before.
        PaymentSettings.read(env, asks=False)

    load(environment, read)


def check_api(environment: Mapping[str, str]) -> None:
    """Check the settings of the REST API.

    Raises:
        InvalidSettings: Values cannot be used; the message names the variables.
    """

    def read(env: EnvReader) -> None:
        LogSettings.read(env)
        ApiConfig.read(env)

    load(environment, read)


def check_dashboard(environment: Mapping[str, str]) -> None:
    """Check the settings of the dashboard.

    Raises:
        InvalidSettings: Values cannot be used; the message names the variables.
    """

    def read(env: EnvReader) -> None:
        env.read(DASHBOARD_PORT)
        env.read(DASHBOARD_API_URL)

    load(environment, read)


def _read_common(env: EnvReader) -> None:
    """Read the sections that every service of the click path reads."""
    LogSettings.read(env)
    if not env.given(KAFKA_URL) and env.read(KAFKA_SECURITY_PROTOCOL) != "PLAINTEXT":
        asked = f"{KAFKA_SECURITY_PROTOCOL.name}={env.read(KAFKA_SECURITY_PROTOCOL)}"
        env.reject(f"{asked}: the embedded Kafka has no users and no certificate, give {KAFKA_URL.name} or PLAINTEXT")
