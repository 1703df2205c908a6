"""Settings that several processes read: where the parts are, the database, the data folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from connectors.kafka.client_config import (
    PLAINTEXT,
    SASL_MECHANISMS,
    SECURITY_PROTOCOLS,
    KafkaConnection,
    KafkaSecurity,
)
from connectors.payments.secrets import BadSecrets, KnownSecrets, ProviderSecrets, read_secrets
from marketplace.settings import ALL_PARTS, KNOWN_PARTS, Urls
from runtime.settings import EnvReader, Section, Variable, load

DEFAULT_DATA_DIR: Final = ".marketplace"
PROVIDER_SECRETS: Final = "payments/secrets.json"
"""Of the sandbox provider, below the data folder."""

_RUNNING: Final = "that of the running stack"

KAFKA: Final = Section("Kafka", "For every process that reads or writes events.")
KAFKA_URL: Final = KAFKA.brokers("MARKETPLACE_KAFKA_URL", "The bootstrap list of the brokers.", default_text=_RUNNING)
KAFKA_SECURITY_PROTOCOL: Final = KAFKA.choice(
    "MARKETPLACE_KAFKA_SECURITY_PROTOCOL",
    "Whether connections are encrypted, and whether brokers ask for a user.",
    "PLAINTEXT",
    SECURITY_PROTOCOLS,
)
KAFKA_SASL_MECHANISM: Final = KAFKA.choice(
    "MARKETPLACE_KAFKA_SASL_MECHANISM", "How the password is proved.", "SCRAM-SHA-512", SASL_MECHANISMS
)
KAFKA_SASL_USERNAME: Final = KAFKA.text("MARKETPLACE_KAFKA_SASL_USERNAME", "The user, where brokers ask for one.")
KAFKA_SASL_PASSWORD: Final = KAFKA.text(
    "MARKETPLACE_KAFKA_SASL_PASSWORD", "The user's password; it is never shown.", secret=True
)
KAFKA_SSL_CA_FILE: Final = KAFKA.path(
    "MARKETPLACE_KAFKA_SSL_CA_FILE",
    "Certificates (PEM) that sign those of the brokers, where connections are encrypted.",
    default_text="those of the system",
)

MONGO: Final = Section("MongoDB", "For every process that reads stores or salts, or writes read models.")
MONGO_URL: Final = MONGO.url(
    "MARKETPLACE_MONGO_URL", "The connection string.", ("mongodb", "mongodb+srv"), default_text=_RUNNING
)

CLICKHOUSE: Final = Section("ClickHouse", "For the click flow, the dashboard and the commands that read numbers.")
CLICKHOUSE_URL: Final = CLICKHOUSE.url(
    "MARKETPLACE_CLICKHOUSE_URL", "The HTTP interface.", ("http", "https"), default_text=_RUNNING
)

REDIS: Final = Section(
    "Redis",
    "For the REST API and the dashboard, whose sign-ins and limits are there, and for the click flow, which writes the "
    "live tile. Who loses it signs everybody out.",
)
REDIS_URL: Final = REDIS.url(
    "MARKETPLACE_REDIS_URL", "Where it is.", ("redis", "rediss", "unix"), default_text=_RUNNING
)

CONNECT: Final = Section("Kafka Connect", "For the relay, which sends the events of orders from the outbox to Kafka.")
CONNECT_URL: Final = CONNECT.url(
    "MARKETPLACE_CONNECT_URL", "The REST interface of its workers.", ("http", "https"), default_text=_RUNNING
)

DATABASE: Final = Section("Database", "For every process that uses MongoDB or ClickHouse.")
DATABASE_NAME: Final = DATABASE.pattern(
    "MARKETPLACE_DATABASE",
    "The database, in MongoDB and in ClickHouse.",
    "marketplace",
    r"[a-z_][a-z0-9_]{0,62}",
    "use a-z, 0-9 and _, not beginning with a digit",
)

FILES: Final = Section("Files", "For the commands, the supervisor and the click flow.")
DATA_DIR: Final = FILES.path(
    "MARKETPLACE_DATA", "The data folder of the embedded stack, and of the click flow's log.", DEFAULT_DATA_DIR
)
GEOIP_FILE: Final = FILES.path(
    "MARKETPLACE_GEOIP_FILE",
    "A GeoLite2 or GeoIP2 City file for the click flow, which may be replaced while it runs.",
    default_text="the one that is installed",
)

DASHBOARD: Final = Section("Dashboard", "For the dashboard.")
DASHBOARD_HOST: Final = DASHBOARD.text("MARKETPLACE_DASHBOARD_HOST", "The address to listen on.", "127.0.0.1")
DASHBOARD_PORT: Final = DASHBOARD.port("MARKETPLACE_DASHBOARD_PORT", "The port to listen on.", 8501, lowest=1)
DASHBOARD_NAMES: Final = DASHBOARD.text(
    "MARKETPLACE_DASHBOARD_NAMES",
    "Host names under which a proxy makes it reachable, with commas between them; others but local ones are refused.",
)
DASHBOARD_API_URL: Final = DASHBOARD.url(
    "MARKETPLACE_DASHBOARD_API_URL",
    "The REST API, which checks passwords at a sign-in; it has to trust the dashboard as a proxy.",
    ("http", "https"),
    default_text="`http://127.0.0.1` and the API's port",
)

API: Final = Section("API", "For the REST API.")
API_PORT: Final = API.port("MARKETPLACE_API_PORT", "The public port; 0 takes a free one.", 8000)
COLLECTOR_URL: Final = API.url(
    "MARKETPLACE_API_COLLECTOR_URL",
    "Where browsers reach the collector: the shop's pages load `m.js` from there, and send no events without it; "
    "the dashboard names it to stores that have no events yet.",
    ("http", "https"),
    default_text="none; `marketplace up` gives it the collector's or the proxy's",
)

PAYMENTS: Final = Section(
    "Payments", "For the payments consumer, which asks the provider, and the REST API, which takes its webhooks."
)
PAYMENTS_URL: Final = PAYMENTS.url(
    "MARKETPLACE_PAYMENTS_URL", "The provider's API.", ("http", "https"), default_text=_RUNNING
)
PAYMENTS_PROVIDER: Final = PAYMENTS.choice(
    "MARKETPLACE_PAYMENTS_PROVIDER", "Which provider that is.", "sandbox", ("sandbox",)
)
PAYMENTS_ACCOUNT: Final = PAYMENTS.text(
    "MARKETPLACE_PAYMENTS_ACCOUNT", "Our account there; what the provider says of another one is refused.", "sandbox"
)
PAYMENTS_LIVE: Final = PAYMENTS.switch(
    "MARKETPLACE_PAYMENTS_LIVE", "Whether it is real money; what the provider says of the other kind is refused."
)
PAYMENTS_API_KEY: Final = PAYMENTS.text(
    "MARKETPLACE_PAYMENTS_API_KEY",
    "What the provider knows us by; it is never shown.",
    default_text="that of the file",
    secret=True,
)
PAYMENTS_WEBHOOK_SECRETS: Final = PAYMENTS.text(
    "MARKETPLACE_PAYMENTS_WEBHOOK_SECRETS",
    "What webhooks may be signed with, with commas between several of them; they are never shown.",
    default_text="those of the file",
    secret=True,
)
PAYMENTS_SECRETS_FILE: Final = PAYMENTS.path(
    "MARKETPLACE_PAYMENTS_SECRETS_FILE",
    'A file with both, as `{"api_key": "...", "webhook_secrets": ["..."]}`; it may be replaced at any time.',
    default_text="`payments/secrets.json` in the data folder, which `marketplace up` makes",
)

URLS: Final[Mapping[str, Variable[str]]] = {
    "kafka": KAFKA_URL,
    "mongo": MONGO_URL,
    "clickhouse": CLICKHOUSE_URL,
    "redis": REDIS_URL,
    "payments": PAYMENTS_URL,
    "connect": CONNECT_URL,
}
"""Where each part is, by its name."""


@dataclass(frozen=True)
class MongoSettings:
    """Where MongoDB is, and which of its databases is ours."""

    url: str
    database: str

    @staticmethod
    def read(env: EnvReader, running: Urls | None = None) -> MongoSettings:
        """Read its section; ``running`` is the embedded stack, if there is one."""
        url = env.require(MONGO_URL, running.mongo if running else "", _no_stack(env))
        return MongoSettings(url, env.read(DATABASE_NAME))


@dataclass(frozen=True)
class PaymentSettings:
    """Whom the product is paid through.

    Attributes:
        provider: Its name.
        url: Of its API; empty for a process that asks it nothing.
        account: Ours there.
        live: Whether it is real money.
        given: Secrets between us and the provider; None where they are in the file.
        secrets_file: The file.
    """

    provider: str
    url: str
    account: str
    live: bool
    given: ProviderSecrets | None
    secrets_file: Path

    def known_secrets(self) -> KnownSecrets:
        """The secrets as they are at each moment."""
        return KnownSecrets(self.given, self.secrets_file)

    def secrets_problem(self) -> str:
        """Why nothing could be asked, and no webhook believed, with these secrets; empty where they are whole."""
        if self.given is None:
            try:
                read_secrets(self.secrets_file)
            except BadSecrets as error:
                return f"{PAYMENTS_SECRETS_FILE.name}: {error}"
        elif not (self.given.api_key and self.given.webhook_secrets):
            return f"give both {PAYMENTS_API_KEY.name} and {PAYMENTS_WEBHOOK_SECRETS.name}, or neither"
        return ""

    @staticmethod
    def read(env: EnvReader, running: Urls | None = None, *, asks: bool = True) -> PaymentSettings:
        """Read the section.

        Args:
            env: The environment.
            running: The embedded stack, if there is one.
            asks: Whether the process asks the provider; one that only takes its webhooks needs no URL.
        """
        stack = running.payments if running else ""
        url = env.require(PAYMENTS_URL, stack, _no_stack(env)) if asks else env.read(PAYMENTS_URL) or stack
        api_key = env.read(PAYMENTS_API_KEY)
        webhooks = tuple(filter(None, map(str.strip, env.read(PAYMENTS_WEBHOOK_SECRETS).split(","))))
        given = ProviderSecrets(api_key, webhooks) if api_key or webhooks else None
        file = env.read(PAYMENTS_SECRETS_FILE)
        path = Path(file) if file else Path(env.read(DATA_DIR)) / PROVIDER_SECRETS
        return PaymentSettings(
            provider=env.read(PAYMENTS_PROVIDER),
            url=url,
            account=env.read(PAYMENTS_ACCOUNT),
            live=env.read(PAYMENTS_LIVE),
            given=given,
            secrets_file=path,
        )


@dataclass(frozen=True)
class Settings:
    """The settings of a process that needs all parts.

    Attributes:
        urls: Where they are.
        data_dir: The data folder.
        database: In MongoDB and in ClickHouse.
        geoip_file: An operator's own; None for the one that is installed.
        kafka_security: How Kafka's clients prove who they are.
    """

    urls: Urls
    data_dir: PurePosixPath
    database: str = DATABASE_NAME.default
    geoip_file: str | None = None
    kafka_security: KafkaSecurity = PLAINTEXT

    @staticmethod
    def read(env: EnvReader, running: Urls | None = None, needs: Collection[str] = ALL_PARTS) -> Settings:
        """Read all shared sections.

        Args:
            env: The environment.
            running: Where the embedded stack's parts are, if there is one.
            needs: The parts that the process cannot work without; of another one the URL may be empty.
        """

        def url(part: str) -> str:
            stack = running.of(part) if running else ""
            if part in needs:
                return env.require(URLS[part], stack, _no_stack(env))
            return env.read(URLS[part]) or stack

        return Settings(
            urls=Urls(**{part: url(part) for part in KNOWN_PARTS}),
            data_dir=PurePosixPath(env.read(DATA_DIR)),
            database=env.read(DATABASE_NAME),
            geoip_file=env.read(GEOIP_FILE) or None,
            kafka_security=read_security(env),
        )

    @staticmethod
    def load(
        environment: Mapping[str, str], running: Urls | None = None, needs: Collection[str] = ALL_PARTS
    ) -> Settings:
        """Read all shared sections of an environment; see :meth:`read`.

        Raises:
            InvalidSettings: Values cannot be used.
            MissingUrl: A URL is neither in the environment nor in ``running``.
        """
        return load(environment, lambda env: Settings.read(env, running, needs))

    def environment(self) -> dict[str, str]:
        """The variables that hand the parts to a child process; they have the password of Kafka's user in them."""
        security = self.kafka_security
        return {
            **self.urls.environment(),
            DATABASE_NAME.name: self.database,
            KAFKA_SECURITY_PROTOCOL.name: security.protocol,
            KAFKA_SASL_MECHANISM.name: security.mechanism,
            KAFKA_SASL_USERNAME.name: security.username,
            KAFKA_SASL_PASSWORD.name: security.password,
            KAFKA_SSL_CA_FILE.name: security.ca_file,
        }

    @property
    def kafka(self) -> KafkaConnection:
        """Where Kafka is and how to connect."""
        return KafkaConnection(self.urls.kafka, self.kafka_security)

    @property
    def mongo(self) -> MongoSettings:
        """Where MongoDB is."""
        return MongoSettings(self.urls.mongo, self.database)


def read_kafka(env: EnvReader, running: Urls | None = None) -> KafkaConnection:
    """Read Kafka's section; ``running`` is the embedded stack, if there is one."""
    bootstrap = env.require(KAFKA_URL, running.kafka if running else "", _no_stack(env))
    return KafkaConnection(bootstrap, read_security(env))


def read_security(env: EnvReader) -> KafkaSecurity:
    """Read how Kafka's clients prove who they are."""
    ca_file = env.read(KAFKA_SSL_CA_FILE)
    if ca_file and not os.access(ca_file, os.R_OK):
        env.reject(f"{KAFKA_SSL_CA_FILE.name}={ca_file}: give a file that can be read")
    try:
        return KafkaSecurity(
            env.read(KAFKA_SECURITY_PROTOCOL),
            env.read(KAFKA_SASL_MECHANISM),
            env.read(KAFKA_SASL_USERNAME),
            env.read(KAFKA_SASL_PASSWORD),
            ca_file,
        )
    except ValueError as error:
        env.reject(f"{KAFKA_SECURITY_PROTOCOL.name}={env.read(KAFKA_SECURITY_PROTOCOL)}: {error}")
        return PLAINTEXT


def _no_stack(env: EnvReader) -> str:
    return (
        f"no stack is running in {env.read(DATA_DIR)}: "
        "start one with 'marketplace up', name the folder of one with --data"
    )
