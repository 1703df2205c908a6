"""The one table of all parts and services: an entry here is all that a further service needs.

Commands, ports, URLs, health checks, the order of a stop, provisioning and the reference pages follow from it.
`make reference` writes the pages.
"""

from collections import abc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from api.config import NEEDS as API_NEEDS
from connectors.debezium.declared import OUTBOX_CONNECTOR
from ingest.config import DEFAULT_PORT, NEEDS
from marketplace.collections import (
    API_KEYS,
    CARTS,
    CATEGORIES,
    FLOW_GENERATIONS,
    IDEMPOTENCY_KEYS,
    INBOX,
    LEDGER_ENTRIES,
    LINKS,
    MAILS,
    MEMBERSHIPS,
    NOTIFICATION_PREFERENCES,
    NOTIFICATIONS,
    ORDERS,
    OUTBOX,
    PARKED_EVENTS,
    PAYMENT_WEBHOOKS,
    PAYMENTS,
    PRODUCT_CHANGES,
    PRODUCT_IMPORTS,
    PRODUCT_SLUGS,
    PRODUCTS,
    RESERVATIONS,
    REVIEW_REPORTS,
    REVIEW_VOTES,
    REVIEWS,
    STOCK,
    STOCK_MOVEMENTS,
    STORE_STATS,
    STORES,
    TURNED_AWAY,
    USERS,
    VISITOR_SALTS,
    Collection,
)
from marketplace.flows import CLICKS_FLOW, DEAD_LETTERS_FLOW, FlowSpec
from marketplace.settings import ALL_PARTS, Urls
from marketplace.tables import GENERATIONS, TABLES
from marketplace.topics import (
    CLICKS_COLLECTED,
    CLICKS_DEAD,
    CONNECT_TOPICS,
    ORDERS_DEAD,
    ORDERS_EVENTS,
    RELAY_EVENTS,
    RELAY_HEARTBEATS,
)
from ops.resources import Resources
from ops.service_settings import (
    RELAY_NEEDS,
    check_api,
    check_collector,
    check_consumers,
    check_dashboard,
    check_flow,
    check_relay,
)
from ops.stack.collector import CollectorSpec
from ops.stack.components import Component, PartSpec, ServiceSpec
from ops.stack.dashboard import DashboardSpec
from ops.stack.errors import StackError
from ops.stack.parts.clickhouse import ClickHouse
from ops.stack.parts.connect import Connect
from ops.stack.parts.kafka import Kafka
from ops.stack.parts.mongo import Mongo
from ops.stack.parts.payments import Payments
from ops.stack.parts.redis import Redis
from ops.stack.process_spec import HealthCheck, StopRank
from ops.stack.proxy.service import ProxySpec
from ops.stack.proxy.settings import DEFAULT_PORT as PROXY_PORT
from ops.stack.proxy.settings import ProxySettings
from ops.stack.state.model import Part
from runtime.sections import API_PORT
from runtime.settings import InvalidSettings
from runtime.supervision import ProcessState


@dataclass(frozen=True)
class Registry:
    """Parts and services, in the order in which commands show them.

    Raises:
        ValueError: a name is there twice, or something needs what is not there.
    """

    components: tuple[Component, ...]

    def __post_init__(self) -> None:
        names = [component.name for component in self.components]
        if len(set(names)) < len(names):
            raise ValueError(f"a name is there twice: {names}")
        missing = [(each.name, need) for each in self.components for need in each.needs if need not in names]
        if missing:
            raise ValueError(f"nothing of that name is there to be needed: {missing}")

    def __iter__(self) -> Iterator[Component]:
        return iter(self.components)

    def __contains__(self, name: str) -> bool:
        return any(component.name == name for component in self.components)

    def __getitem__(self, name: str) -> Component:
        """The entry of that name.

        Raises:
            StackError: there is none; names those that there are.
        """
        found = next((component for component in self.components if component.name == name), None)
        if found is None:
            raise StackError(f"there is no {name}: choose from {', '.join(self.startable)}")
        return found

    @property
    def parts(self) -> tuple[PartSpec, ...]:
        """The servers that the product uses."""
        return tuple(component for component in self.components if isinstance(component, PartSpec))

    @property
    def services(self) -> tuple[ServiceSpec, ...]:
        """The product's own processes."""
        return tuple(component for component in self.components if isinstance(component, ServiceSpec))

    @property
    def startable(self) -> tuple[Part, ...]:
        """The names of all that `marketplace up` can start."""
        return tuple(component.name for component in self.components if not component.on_demand)

    @property
    def usual(self) -> tuple[Part, ...]:
        """The names of all that `marketplace up` starts unless somebody says otherwise."""
        return tuple(name for name in self.startable if not self[name].on_request)

    @property
    def on_request(self) -> tuple[Component, ...]:
        """What `marketplace up` starts only where its option asks for it."""
        return tuple(component for component in self.components if component.on_request)

    def service(self, name: str) -> ServiceSpec:
        """The service of that name.

        Raises:
            StackError: there is none.
        """
        found = self[name]
        if not isinstance(found, ServiceSpec):
            raise StackError(f"{name} is no service: choose from {', '.join(each.name for each in self.services)}")
        return found

    def chosen(self, names: abc.Collection[str]) -> tuple[Component, ...]:
        """The entries of these names, in order.

        Raises:
            StackError: there is no entry of a name.
        """
        for name in names:
            self[name]
        return tuple(component for component in self.components if component.name in names)

    def needed_by(self, names: abc.Collection[str]) -> tuple[Part, ...]:
        """These names and all that they need, in order.

        Raises:
            StackError: there is no entry of a name.
        """
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self[name].needs
        return tuple(component.name for component in self.components if component.name in found)

    def urls(self, ports: Mapping[str, int], brokers: int, external: Mapping[Part, str]) -> Urls:
        """URLs of the parts; empty where one is neither here nor elsewhere."""
        return Urls(**{part.name: external.get(part.name) or part.url(ports, brokers) for part in self.parts})

    def port_settings(self, ports: Mapping[str, int]) -> dict[str, str]:
        """Where the services listen, by variables: a page of one can link to another."""
        settings = {each.port_variable: str(ports[each.name]) for each in self.services if each.name in ports}
        admin = {each.admin_port_variable: ports.get(each.admin_port_name) for each in self.services}
        return settings | {name: str(port) for name, port in admin.items() if name and port is not None}

    def settings_for_others(self, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
        """Settings that services give to the others where they run."""
        given: dict[str, str] = {}
        for each in self.services:
            given |= each.settings_for_others(ports, environment)
        return given

    def resources(self, names: abc.Collection[str]) -> Resources:
        """What the services among these names find in the parts, together.

        Raises:
            StackError: there is no entry of a name.
        """
        return Resources.union(each.resources for each in self.chosen(names) if isinstance(each, ServiceSpec))

    def check_settings(self, names: Iterable[str], environment: Mapping[str, str]) -> None:
        """Refuse what a service would refuse once everything else was started for it.

        Raises:
            InvalidSettings: values cannot be used; the message names all of them.
        """
        problems: dict[str, None] = {}
        for service in self.chosen(list(names)):
            if isinstance(service, ServiceSpec):
                try:
                    service.check_settings({**environment, **service.environment})
                except InvalidSettings as error:
                    problems |= dict.fromkeys(str(error).split("; "))
        if problems:
            raise InvalidSettings("; ".join(problems))


FLOW_SERVICE: Final = "ops.flow_service"
FLOW_EXITS: Final = {2: ProcessState.REFUSED, 3: ProcessState.FENCED}
"""A flow's service ends with 3 where a newer start has fenced it."""


def flow_resources(flow: FlowSpec, *collections: Collection) -> Resources:
    """What a flow finds in the parts: its topics and tables, and the generations of its starts."""
    dead = () if flow.dead_topic is None else (flow.dead_topic,)
    return Resources(
        topics=(*flow.reads, *dead),
        tables=(*flow.tables, GENERATIONS),
        collections=(*collections, FLOW_GENERATIONS),
    )


SHOPPING: Final = (
    PRODUCTS, PRODUCT_SLUGS, PRODUCT_CHANGES, CATEGORIES, PRODUCT_IMPORTS, REVIEWS, REVIEW_VOTES, REVIEW_REPORTS, CARTS,
)  # fmt: skip
"""What stores sell, what buyers say of it, and what they have in their carts."""

ORDERING: Final = (
    ORDERS, PAYMENTS, LEDGER_ENTRIES, PAYMENT_WEBHOOKS, STOCK, STOCK_MOVEMENTS, RESERVATIONS, OUTBOX, INBOX,
    PARKED_EVENTS, NOTIFICATIONS, NOTIFICATION_PREFERENCES, IDEMPOTENCY_KEYS,
)  # fmt: skip
"""Orders, and what their services keep."""

CONSUMERS_SERVICE: Final = "consumers"

REGISTRY: Final = Registry(
    (
        Kafka(
            name="kafka",
            title="Kafka",
            default_port=19092,
            check=HealthCheck("kafka"),
            stop_rank=StopRank.LOG,
            memory="a heap of up to 512 MB for each broker",
        ),
        Mongo(
            name="mongo",
            title="MongoDB (SecantusDB)",
            default_port=27117,
            check=HealthCheck("mongo"),
            stop_rank=StopRank.STORES,
            memory="a cache of up to 512 MB",
        ),
        ClickHouse(
            name="clickhouse",
            title="ClickHouse (chDB)",
            default_port=18123,
            check=HealthCheck("clickhouse"),
            stop_rank=StopRank.STORES,
            memory="grows with what queries read",
        ),
        Redis(
            name="redis",
            title="Redis (Valkey)",
            default_port=16379,
            check=HealthCheck("redis"),
            stop_rank=StopRank.STORES,
            memory="the live tiles, some MB",
        ),
        Payments(
            name="payments",
            title="sandbox payment provider",
            default_port=18700,
            check=HealthCheck("service", "/readyz"),
            stop_rank=StopRank.STORES,
            memory="some 50 MB",
        ),
        Connect(
            name="connect",
            title="Kafka Connect (Debezium)",
            default_port=18083,
            check=HealthCheck("connect"),
            # A connector whose database has ended takes seconds to notice.
            stop_rank=StopRank.CONNECTORS,
            needs=("kafka",),
            memory="a heap of up to 256 MB",
        ),
        ServiceSpec(
            name="flow",
            title="click flow",
            module=FLOW_SERVICE,
            arguments=(CLICKS_FLOW.name,),
            default_port=19464,
            needs=CLICKS_FLOW.needs,
            memory="up to a third of the machine's, or `MARKETPLACE_FLOW_MEMORY_MB`",
            resources=flow_resources(CLICKS_FLOW, STORES, STORE_STATS),
            check_settings=check_flow,
            final_exits=FLOW_EXITS,
        ),
        ServiceSpec(
            name="dead_letters",
            title="dead letters",
            module=FLOW_SERVICE,
            arguments=(DEAD_LETTERS_FLOW.name,),
            default_port=19465,
            # Its rules remember nothing, and one process reads all letters; it shares the other settings of flows.
            environment={"MARKETPLACE_FLOW_WORKERS": "1"},
            listen_variable="MARKETPLACE_FLOW_PORT",
            needs=DEAD_LETTERS_FLOW.needs,
            memory="some 150 MB",
            resources=flow_resources(DEAD_LETTERS_FLOW),
            check_settings=check_flow,
            final_exits=FLOW_EXITS,
        ),
        ServiceSpec(
            name="relay",
            title="relay of the outbox",
            module="ops.relay",
            default_port=19466,
            needs=RELAY_NEEDS,
            also_asks=("connect",),
            memory="some 80 MB",
            resources=Resources(
                topics=(ORDERS_EVENTS, RELAY_EVENTS, RELAY_HEARTBEATS, *CONNECT_TOPICS),
                collections=(OUTBOX,),
                connectors=(OUTBOX_CONNECTOR,),
            ),
            check_settings=check_relay,
        ),
        ServiceSpec(
            name=CONSUMERS_SERVICE,
            title="consumers of orders' events",
            module="ops.consumer_service",
            default_port=19467,
            # Without Kafka Connect no event reaches them.
            needs=("kafka", "mongo", "payments", "connect"),
            memory="some 100 MB",
            # Without the connector no event reaches them.
            resources=Resources(
                topics=(ORDERS_EVENTS, ORDERS_DEAD, RELAY_EVENTS, RELAY_HEARTBEATS, *CONNECT_TOPICS),
                collections=(PRODUCTS, MAILS, *ORDERING),
                connectors=(OUTBOX_CONNECTOR,),
            ),
            check_settings=check_consumers,
        ),
        CollectorSpec(
            name="collector",
            title="collector",
            default_port=DEFAULT_PORT,
            admin_port_variable="MARKETPLACE_COLLECTOR_ADMIN_PORT",
            check=HealthCheck("service", "/readyz"),
            needs=NEEDS,
            memory="bodies and records that wait: up to 64 MB each",
            resources=Resources(
                topics=(CLICKS_COLLECTED, CLICKS_DEAD), collections=(STORES, VISITOR_SALTS, TURNED_AWAY)
            ),
            check_settings=check_collector,
        ),
        ServiceSpec(
            name="api",
            title="REST API",
            module="api",
            default_port=API_PORT.default,
            admin_port_variable="MARKETPLACE_API_ADMIN_PORT",
            check=HealthCheck("service", "/readyz"),
            needs=API_NEEDS,
            memory="some 150 MB, 2 kB for each product of all stores, and 19 MB for each of two passwords that are "
            "hashed at one time",
            resources=Resources(
                tables=TABLES,
                collections=(STORES, USERS, LINKS, MAILS, MEMBERSHIPS, API_KEYS, TURNED_AWAY, *SHOPPING, *ORDERING),
            ),
            check_settings=check_api,
        ),
        DashboardSpec(
            name="dashboard",
            title="dashboard",
            module="dashboards",
            default_port=8501,
            check=HealthCheck("page", "/_stcore/health"),
            needs=("kafka", "mongo", "clickhouse", "redis"),
            memory="grows with its viewers",
            resources=Resources(
                topics=(CLICKS_COLLECTED,),
                tables=TABLES,
                collections=(STORES, STORE_STATS, TURNED_AWAY, USERS, LINKS, MEMBERSHIPS, PRODUCTS, PRODUCT_SLUGS),
            ),
            check_settings=check_dashboard,
        ),
        ProxySpec(
            name="proxy",
            title="proxy (nginx)",
            default_port=PROXY_PORT,
            check=HealthCheck("service", "/readyz"),
            # The first to stop: the services behind it finish what it has passed on.
            stop_rank=StopRank.SENDERS,
            needs=("collector", "api", "dashboard"),
            memory="some 20 MB, and up to 1 MB for each body that is being sent",
            check_settings=ProxySettings.load,
            on_request=True,
        ),
        ServiceSpec(
            name="traffic",
            title="demo traffic",
            module="ops.demo.services.traffic",
            default_port=None,
            stop_rank=StopRank.SENDERS,
            needs=("collector",),
            memory="some MB",
            on_demand=True,
        ),
    )
)

PARTS: Final[tuple[Part, ...]] = tuple(part.name for part in REGISTRY.parts if part.name in ALL_PARTS)
"""The parts that a `Stack` starts unless somebody says otherwise: Kafka Connect takes seconds and 250 MB, and only the
events of orders need it."""
SERVICES: Final[tuple[Part, ...]] = tuple(each.name for each in REGISTRY.services if each.name in REGISTRY.usual)
"""The services that `marketplace up` starts unless somebody says otherwise."""


def service_of(flow: str) -> str:
    """The name of the service that runs a flow.

    Raises:
        StackError: none does.
    """
    for each in REGISTRY.services:
        if each.module == FLOW_SERVICE and each.arguments == (flow,):
            return each.name
    raise StackError(f"no service runs the flow {flow}")
