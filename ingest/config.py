"""The collector's settings, read from ``MARKETPLACE_COLLECTOR_*``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from marketplace.collect_address import Network, parse_networks
from marketplace.collect_limits import BucketPolicy
from marketplace.settings import InvalidSettings

PREFIX = "MARKETPLACE_COLLECTOR_"
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8700
NEEDS = ("kafka", "mongo")
"""The parts that a collector uses."""

_HIGHEST_PORT = 65_535
_MAX_PORT_DIGITS = 20
_DASHBOARD_PORT = "MARKETPLACE_DASHBOARD_PORT"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Addresses:
    """Where a collector listens.

    Attributes:
        host: The public address (``HOST``, loopback).
        port: The public port (``PORT``, 8700); 0 takes a free one.
        admin_host: Where readiness and metrics are (``ADMIN_HOST``, loopback).
        admin_port: Their port (``ADMIN_PORT``); by default the one after the public port, a free one where that is 0.
    """

    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    admin_host: str = LOOPBACK
    admin_port: int | None = None

    @property
    def effective_admin_port(self) -> int:
        """The admin port as it is to be bound; 0 takes a free one."""
        if self.admin_port is not None:
            return self.admin_port
        return self.port + 1 if 0 < self.port < _HIGHEST_PORT else 0

    @staticmethod
    def load(environment: Mapping[str, str]) -> Addresses:
        """Read the environment; what is not set has the default.

        Raises:
            InvalidSettings: A port is none; the message names the variable.
        """

        def host(name: str) -> str:
            return environment.get(PREFIX + name, "").strip() or LOOPBACK

        def port(name: str) -> int | None:
            text = environment.get(PREFIX + name, "").strip()
            if not text:
                return None
            if not _is_port(text, lowest=0):
                raise InvalidSettings(f"{PREFIX}{name}={text}: not a port")
            return int(text)

        public = port("PORT")
        return Addresses(
            host("HOST"), DEFAULT_PORT if public is None else public, host("ADMIN_HOST"), port("ADMIN_PORT")
        )


@dataclass(frozen=True)
class CollectorConfig:
    """How one collector process behaves.

    Attributes:
        trusted_proxies: Peers whose ``X-Forwarded-For`` is believed (``TRUSTED_PROXIES``, CIDR list; none).
        max_body_bytes: The largest body as sent, 1 MiB (``MAX_BODY_BYTES``).
        max_decoded_bytes: The largest body after decompression, 2 MiB (``MAX_DECODED_BYTES``).
        max_reading_bytes: Bodies being read at one time, all together, 64 MiB (``MAX_READING_BYTES``).
        body_timeout_seconds: How long a client may take to send its body, 10 s (``BODY_TIMEOUT_SECONDS``).
        head_timeout_seconds: How long it may take to send its headers, 10 s (``HEAD_TIMEOUT_SECONDS``).
        max_connections: Above this many, new requests get 503 (``MAX_CONNECTIONS``, 1,000).
        max_connections_per_address: Of one address, or an IPv6 /64 (``MAX_CONNECTIONS_PER_ADDRESS``, 128); trusted
            proxies have no such bound.
        store_limit: Units of one store (``STORE_EVENTS_PER_SECOND`` 10,000, ``STORE_BURST_EVENTS`` 50,000). An event is
            one unit, or one for every 512 bytes of its body; what it brings that is new costs more, up to 46 units.
        import_limit: The same for its history (``IMPORT_EVENTS_PER_SECOND`` 10,000, ``IMPORT_BURST_EVENTS`` 100,000).
        client_limit: Requests of one address (``CLIENT_REQUESTS_PER_SECOND`` 200, ``CLIENT_BURST_REQUESTS`` 1,000).
        unknown_key_limit: Keys that no store has, of one address (``UNKNOWN_KEYS_PER_SECOND`` 2,
            ``UNKNOWN_KEYS_BURST`` 20).
        kafka_timeout_seconds: How long an answer waits for Kafka, 10 s (``KAFKA_TIMEOUT_SECONDS``).
        kafka_stuck_seconds: Once Kafka acknowledged nothing for so long while something waited, answers are 503 at once
            until it does, 3 s (``KAFKA_STUCK_SECONDS``).
        max_in_flight_bytes: Records waiting for Kafka, 64 MiB (``MAX_IN_FLIGHT_BYTES``).
        shops_file: Sample shops to show under ``/shop``, for a demo (``SHOPS_FILE``; none are shown).
        dashboard_port: Where those link to, 8501 (``MARKETPLACE_DASHBOARD_PORT``).
    """

    trusted_proxies: tuple[Network, ...] = ()
    max_body_bytes: int = 1024 * 1024
    max_decoded_bytes: int = 2 * 1024 * 1024
    max_reading_bytes: int = 64 * 1024 * 1024
    body_timeout_seconds: float = 10.0
    head_timeout_seconds: float = 10.0
    max_connections: int = 1_000
    max_connections_per_address: int = 128
    store_limit: BucketPolicy = field(default=BucketPolicy(10_000, 50_000))
    import_limit: BucketPolicy = field(default=BucketPolicy(10_000, 100_000))
    client_limit: BucketPolicy = field(default=BucketPolicy(200, 1_000))
    unknown_key_limit: BucketPolicy = field(default=BucketPolicy(2, 20))
    kafka_timeout_seconds: float = 10.0
    kafka_stuck_seconds: float = 3.0
    max_in_flight_bytes: int = 64 * 1024 * 1024
    shops_file: str = ""
    dashboard_port: int = 8501

    @staticmethod
    def load(environment: Mapping[str, str]) -> CollectorConfig:
        """Read the environment; what is not set has the default.

        Raises:
            InvalidSettings: A value cannot be used; the message names the variable.
        """
        default = CollectorConfig()

        def read(name: str, parse: Callable[[str], _Value], fallback: _Value) -> _Value:
            text = environment.get(PREFIX + name, "").strip()
            try:
                return parse(text) if text else fallback
            except ValueError as error:
                raise InvalidSettings(f"{PREFIX}{name}={text}: {error}") from error

        def limit(rate_name: str, burst_name: str, fallback: BucketPolicy) -> BucketPolicy:
            return BucketPolicy(
                read(rate_name, _not_negative, fallback.rate_per_second), read(burst_name, _positive, fallback.burst)
            )

        return CollectorConfig(
            trusted_proxies=read("TRUSTED_PROXIES", parse_networks, default.trusted_proxies),
            max_body_bytes=read("MAX_BODY_BYTES", _positive_int, default.max_body_bytes),
            max_decoded_bytes=read("MAX_DECODED_BYTES", _positive_int, default.max_decoded_bytes),
            max_reading_bytes=read("MAX_READING_BYTES", _positive_int, default.max_reading_bytes),
            body_timeout_seconds=read("BODY_TIMEOUT_SECONDS", _positive, default.body_timeout_seconds),
            head_timeout_seconds=read("HEAD_TIMEOUT_SECONDS", _positive, default.head_timeout_seconds),
            max_connections=read("MAX_CONNECTIONS", _positive_int, default.max_connections),
            max_connections_per_address=read(
                "MAX_CONNECTIONS_PER_ADDRESS", _positive_int, default.max_connections_per_address
            ),
            store_limit=limit("STORE_EVENTS_PER_SECOND", "STORE_BURST_EVENTS", default.store_limit),
            import_limit=limit("IMPORT_EVENTS_PER_SECOND", "IMPORT_BURST_EVENTS", default.import_limit),
            client_limit=limit("CLIENT_REQUESTS_PER_SECOND", "CLIENT_BURST_REQUESTS", default.client_limit),
            unknown_key_limit=limit("UNKNOWN_KEYS_PER_SECOND", "UNKNOWN_KEYS_BURST", default.unknown_key_limit),
            kafka_timeout_seconds=read("KAFKA_TIMEOUT_SECONDS", _positive, default.kafka_timeout_seconds),
            kafka_stuck_seconds=read("KAFKA_STUCK_SECONDS", _positive, default.kafka_stuck_seconds),
            max_in_flight_bytes=read("MAX_IN_FLIGHT_BYTES", _positive_int, default.max_in_flight_bytes),
            shops_file=read("SHOPS_FILE", str, default.shops_file),
            dashboard_port=_dashboard_port(environment, default.dashboard_port),
        )


def _dashboard_port(environment: Mapping[str, str], fallback: int) -> int:
    text = environment.get(_DASHBOARD_PORT, "").strip()
    if text and not _is_port(text, lowest=1):
        raise InvalidSettings(f"{_DASHBOARD_PORT}={text}: not a port")
    return int(text) if text else fallback


def _is_port(text: str, *, lowest: int) -> bool:
    digits = text.isascii() and text.isdecimal() and len(text) <= _MAX_PORT_DIGITS
    return digits and lowest <= int(text) <= _HIGHEST_PORT


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    if not 0 <= value < float("inf"):
        raise ValueError("must be 0 or more")
    return value


def _positive(text: str) -> float:
    value = _not_negative(text)
    if value == 0:
        raise ValueError("must be more than 0")
    return value


def _positive_int(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None
    if value <= 0:
        raise ValueError("must be more than 0")
    return value
