"""The collector's settings, read from ``MARKETPLACE_COLLECTOR_*``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from marketplace.clicks.client_address import CLIENT_HEADERS, FORWARDED_FOR
from marketplace.networks import Network
from marketplace.token_bucket import BucketPolicy
from runtime.admin import LOOPBACK
from runtime.settings import HIGHEST_PORT, EnvReader, Section, Variable, load

_MOST_BYTES: Final = 1 << 36
DEFAULT_PORT: Final = 8700
NEEDS: Final = ("kafka", "mongo")
"""The parts that a collector uses."""

COLLECTOR: Final = Section("Collector", "For the collector; docs/reference/limits.md says why each bound is there.")
HOST: Final = COLLECTOR.text("MARKETPLACE_COLLECTOR_HOST", "The public address to listen on.", LOOPBACK)
PORT: Final = COLLECTOR.port("MARKETPLACE_COLLECTOR_PORT", "The public port; 0 takes a free one.", DEFAULT_PORT)
ADMIN_HOST: Final = COLLECTOR.text(
    "MARKETPLACE_COLLECTOR_ADMIN_HOST",
    "The address of `/livez`, `/readyz` and `/metrics`; in a container, whose probes come from outside, `0.0.0.0`.",
    LOOPBACK,
)
ADMIN_PORT: Final = COLLECTOR.port(
    "MARKETPLACE_COLLECTOR_ADMIN_PORT",
    "Their port; 0 takes a free one.",
    None,
    default_text="the one after the public port",
)
TRUSTED_PROXIES: Final = COLLECTOR.networks(
    "MARKETPLACE_COLLECTOR_TRUSTED_PROXIES", "Peers whose word about the client's address is believed."
)
CLIENT_HEADER: Final = COLLECTOR.choice(
    "MARKETPLACE_COLLECTOR_CLIENT_HEADER",
    "The header in which they report the client's address. They must write it themselves: what a client sends in it "
    "must not come through.",
    FORWARDED_FOR,
    CLIENT_HEADERS,
)


def _bytes(name: str, meaning: str, default: int) -> Variable[int]:
    return COLLECTOR.whole(f"MARKETPLACE_COLLECTOR_{name}", meaning, default, lowest=1, highest=_MOST_BYTES)


def _count(name: str, meaning: str, default: int) -> Variable[int]:
    return COLLECTOR.whole(f"MARKETPLACE_COLLECTOR_{name}", meaning, default, lowest=1)


def _seconds(name: str, meaning: str, default: float) -> Variable[float]:
    return COLLECTOR.seconds(f"MARKETPLACE_COLLECTOR_{name}", meaning, default)


@dataclass(frozen=True)
class _Limit:
    """The two variables of one limit: the refill rate per second, and the burst."""

    rate: Variable[float]
    burst: Variable[float]

    @property
    def default(self) -> BucketPolicy:
        return BucketPolicy(self.rate.default, self.burst.default)

    def read(self, env: EnvReader) -> BucketPolicy:
        return BucketPolicy(env.read(self.rate), env.read(self.burst))


def _limit(rate_name: str, burst_name: str, of: str, policy: BucketPolicy) -> _Limit:
    return _Limit(
        COLLECTOR.number(
            f"MARKETPLACE_COLLECTOR_{rate_name}", f"{of} a second; 0 switches the bound off.", policy.rate_per_second
        ),
        COLLECTOR.number(f"MARKETPLACE_COLLECTOR_{burst_name}", f"{of} at one time.", policy.burst, more_than=0),
    )


MAX_BODY_BYTES: Final = _bytes("MAX_BODY_BYTES", "The largest body as sent.", 1024 * 1024)
MAX_DECODED_BYTES: Final = _bytes("MAX_DECODED_BYTES", "The largest body after decompression.", 2 * 1024 * 1024)
MAX_READING_BYTES: Final = _bytes("MAX_READING_BYTES", "Bodies being read at one time, all together.", 64 * 1024 * 1024)
BODY_TIMEOUT_SECONDS: Final = _seconds("BODY_TIMEOUT_SECONDS", "How long a client may take to send its body.", 10.0)
HEAD_TIMEOUT_SECONDS: Final = _seconds("HEAD_TIMEOUT_SECONDS", "How long it may take to send its headers.", 10.0)
MAX_CONNECTIONS: Final = _count(
    "MAX_CONNECTIONS", "Connections together; more requests than this at one time get 503.", 1_000
)
MAX_CONNECTIONS_PER_ADDRESS: Final = _count(
    "MAX_CONNECTIONS_PER_ADDRESS",
    "Connections of one address, or of an IPv6 /64; trusted proxies have no such bound.",
    128,
)
STORE_LIMIT: Final = _limit(
    "STORE_EVENTS_PER_SECOND", "STORE_BURST_EVENTS", "Units of one store", BucketPolicy(10_000, 50_000)
)
IMPORT_LIMIT: Final = _limit(
    "IMPORT_EVENTS_PER_SECOND", "IMPORT_BURST_EVENTS", "Units of one store's history", BucketPolicy(10_000, 100_000)
)
CLIENT_LIMIT: Final = _limit(
    "CLIENT_REQUESTS_PER_SECOND", "CLIENT_BURST_REQUESTS", "Requests of one address", BucketPolicy(200, 1_000)
)
UNKNOWN_KEY_LIMIT: Final = _limit(
    "UNKNOWN_KEYS_PER_SECOND", "UNKNOWN_KEYS_BURST", "Unknown keys of one address", BucketPolicy(2, 20)
)
KAFKA_TIMEOUT_SECONDS: Final = _seconds("KAFKA_TIMEOUT_SECONDS", "How long a request waits for Kafka.", 10.0)
KAFKA_STUCK_SECONDS: Final = _seconds(
    "KAFKA_STUCK_SECONDS",
    "Once Kafka acknowledged nothing for this long while records waited, requests get 503 at once until it does.",
    3.0,
)
MAX_IN_FLIGHT_BYTES: Final = _bytes("MAX_IN_FLIGHT_BYTES", "Records waiting for Kafka.", 64 * 1024 * 1024)


@dataclass(frozen=True)
class Addresses:
    """Where a collector listens.

    Attributes:
        host: The public address.
        port: The public port; 0 takes a free one.
        admin_host: Where readiness and metrics are.
        admin_port: Their port; by default the one after the public port, a free one where that is 0.
    """

    host: str = HOST.default
    port: int = PORT.default
    admin_host: str = ADMIN_HOST.default
    admin_port: int | None = None

    @property
    def effective_admin_port(self) -> int:
        """The admin port to bind; 0 takes a free one."""
        if self.admin_port is not None:
            return self.admin_port
        return self.port + 1 if 0 < self.port < HIGHEST_PORT else 0

    @staticmethod
    def read(env: EnvReader) -> Addresses:
        """Read the addresses of the collector's section."""
        return Addresses(env.read(HOST), env.read(PORT), env.read(ADMIN_HOST), env.read(ADMIN_PORT))

    @staticmethod
    def load(environment: Mapping[str, str]) -> Addresses:
        """Read the environment.

        Raises:
            InvalidSettings: A port is not valid; the message names the variable.
        """
        return load(environment, Addresses.read)


@dataclass(frozen=True)
class CollectorConfig:
    """Limits and timeouts of one collector process; the variables above describe each.

    Attributes:
        store_limit: Units of one store. An event is one unit, or one for every 512 bytes of its body; new values in it
            cost more, up to 46 units.
        import_limit: The same for its history.
    """

    trusted_proxies: tuple[Network, ...] = ()
    client_header: str = CLIENT_HEADER.default
    max_body_bytes: int = MAX_BODY_BYTES.default
    max_decoded_bytes: int = MAX_DECODED_BYTES.default
    max_reading_bytes: int = MAX_READING_BYTES.default
    body_timeout_seconds: float = BODY_TIMEOUT_SECONDS.default
    head_timeout_seconds: float = HEAD_TIMEOUT_SECONDS.default
    max_connections: int = MAX_CONNECTIONS.default
    max_connections_per_address: int = MAX_CONNECTIONS_PER_ADDRESS.default
    store_limit: BucketPolicy = STORE_LIMIT.default
    import_limit: BucketPolicy = IMPORT_LIMIT.default
    client_limit: BucketPolicy = CLIENT_LIMIT.default
    unknown_key_limit: BucketPolicy = UNKNOWN_KEY_LIMIT.default
    kafka_timeout_seconds: float = KAFKA_TIMEOUT_SECONDS.default
    kafka_stuck_seconds: float = KAFKA_STUCK_SECONDS.default
    max_in_flight_bytes: int = MAX_IN_FLIGHT_BYTES.default

    @staticmethod
    def read(env: EnvReader) -> CollectorConfig:
        """Read the bounds of the collector's section."""
        return CollectorConfig(
            trusted_proxies=env.read(TRUSTED_PROXIES),
            client_header=env.read(CLIENT_HEADER),
            max_body_bytes=env.read(MAX_BODY_BYTES),
            max_decoded_bytes=env.read(MAX_DECODED_BYTES),
            max_reading_bytes=env.read(MAX_READING_BYTES),
            body_timeout_seconds=env.read(BODY_TIMEOUT_SECONDS),
            head_timeout_seconds=env.read(HEAD_TIMEOUT_SECONDS),
            max_connections=env.read(MAX_CONNECTIONS),
            max_connections_per_address=env.read(MAX_CONNECTIONS_PER_ADDRESS),
            store_limit=STORE_LIMIT.read(env),
            import_limit=IMPORT_LIMIT.read(env),
            client_limit=CLIENT_LIMIT.read(env),
            unknown_key_limit=UNKNOWN_KEY_LIMIT.read(env),
            kafka_timeout_seconds=env.read(KAFKA_TIMEOUT_SECONDS),
            kafka_stuck_seconds=env.read(KAFKA_STUCK_SECONDS),
            max_in_flight_bytes=env.read(MAX_IN_FLIGHT_BYTES),
        )

    @staticmethod
    def load(environment: Mapping[str, str]) -> CollectorConfig:
        """Read the environment; what is not set has the default.

        Raises:
            InvalidSettings: Values cannot be used; the message names the variables.
        """
        return load(environment, CollectorConfig.read)
