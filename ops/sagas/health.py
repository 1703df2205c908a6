"""How the consumers of orders' events and the relay are now, for somebody who looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from connectors.errors import Refused, Unavailable
from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.groups import ActualGroup, read_groups
from connectors.mongo.client import connect
from connectors.mongo.sagas.parking import ParkedEvents
from marketplace.metrics import RELAY_LAG_SECONDS
from marketplace.sagas.declaration import Service
from marketplace.topics import ORDERS_EVENTS
from ops.stack import SupervisorHangsError, running_state
from runtime.sections import MongoSettings
from saga_consumers.runner import group_of

_MONGO_SECONDS: Final = 5.0
_KAFKA_SECONDS: Final = 5.0
_PAGE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class ConsumerHealth:
    """How a consumer is; None stands for what nobody could say.

    Attributes:
        members: How many processes are in its group; 0 where none runs.
        lag: Events that it has not read.
        parked: Events that wait for an operator.
    """

    members: int | None = None
    lag: int | None = None
    parked: int | None = None


def consumers_health(
    services: Sequence[Service], kafka: KafkaConnection, mongo: MongoSettings
) -> tuple[dict[Service, ConsumerHealth], list[str]]:
    """How consumers are, and what could not be asked.

    Args:
        services: Whose.
        kafka: Where their groups are.
        mongo: Where their parked events are.
    """
    problems: list[str] = []
    groups, parked = dict[str, ActualGroup](), dict[Service, int]()
    try:
        groups = read_groups(kafka, ORDERS_EVENTS.name, [group_of(each) for each in services], _KAFKA_SECONDS)
    except (Refused, Unavailable) as error:
        problems.append(f"processes and lag are not known: {error}")
    try:
        with connect(mongo.url, _MONGO_SECONDS) as client:
            parked = {each: ParkedEvents(client, mongo.database, each.value).count() for each in services}
    except (Refused, Unavailable) as error:
        problems.append(f"parked events are not known: {error}")
    found = {}
    for each in services:
        group = groups.get(group_of(each))
        found[each] = ConsumerHealth(
            None if group is None else group.members, None if group is None else group.lag, parked.get(each)
        )
    return found, problems


@dataclass(frozen=True)
class RelayLag:
    """How far the relay is behind.

    Attributes:
        seconds: The lag; None where it is not known here.
        where: The page that says it, or which process has it.
    """

    seconds: float | None
    where: str


def relay_lag(data_dir: Path) -> RelayLag:
    """How far the relay of the stack on a data folder is behind, as its own page of metrics says.

    Args:
        data_dir: The folder; where no stack runs there, the relay is somebody else's process.
    """
    page = _relay_page(data_dir)
    if not page:
        return RelayLag(None, f"{RELAY_LAG_SECONDS.name} at /metrics of python -m ops.relay")
    where = f"{RELAY_LAG_SECONDS.name} at {page}"
    try:
        lines = httpx.get(page, timeout=_PAGE_SECONDS, trust_env=False).text.splitlines()
    except httpx.HTTPError:
        return RelayLag(None, where)
    values = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{RELAY_LAG_SECONDS.name}{{")]
    return RelayLag(float(values[0]) if values else None, where)


def _relay_page(data_dir: Path) -> str:
    try:
        state = running_state(data_dir)
    except SupervisorHangsError:
        return ""
    relay = None if state is None else state.process("relay")
    return f"{relay.url}/metrics" if relay is not None and relay.url else ""
