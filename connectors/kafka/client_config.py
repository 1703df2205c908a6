"""Where Kafka is, how a client proves who it is, and the settings that all clients of librdkafka share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]
SECURITY_PROTOCOLS: Final[tuple[SecurityProtocol, ...]] = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS: Final[tuple[SaslMechanism, ...]] = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


@dataclass(frozen=True)
class KafkaSecurity:
    """How a client connects and proves who it is.

    Attributes:
        protocol: Whether the connection is encrypted (``SSL``), and whether there is a user (``SASL``).
        mechanism: How the password is proved; only where there is a user.
        username: Empty where there is none.
        password: Never part of a representation or an error.
        ca_file: Certificates (PEM) that sign the brokers' certificates; empty for those of the system.

    Raises:
        ValueError: A user without a password, a password without SASL, certificates without SSL, and the like.
    """

    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""

    def __post_init__(self) -> None:
        if self.has_user and not (self.username and self.password):
            raise ValueError(f"{self.protocol} needs a user and a password")
        # A password that is silently not used would mean a connection that its owner takes for a safe one.
        if not self.has_user and (self.username or self.password):
            raise ValueError(f"a user and a password need SASL_SSL or SASL_PLAINTEXT, not {self.protocol}")
        if self.ca_file and not self.is_encrypted:
            raise ValueError(f"certificates need SSL or SASL_SSL, not {self.protocol}")

    @property
    def has_user(self) -> bool:
        """Whether brokers ask for a user."""
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.protocol in ("SSL", "SASL_SSL")


PLAINTEXT: Final = KafkaSecurity()
"""No encryption and no user: the embedded stack."""


@dataclass(frozen=True)
class KafkaConnection:
    """Where Kafka is and how to connect.

    Attributes:
        bootstrap: ``host:port``, or several with commas between them.
        security: How a client proves who it is.
    """

    bootstrap: str
    security: KafkaSecurity = PLAINTEXT


def client_config(kafka: KafkaConnection | str, client_id: str, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of librdkafka for one client.

    Args:
        kafka: Where Kafka is and how to connect; a bootstrap list alone means no encryption and no user.
        client_id: The name in the brokers' logs and quotas.
        own: The client's own settings, by librdkafka's names; they come last and win.

    Returns:
        A mapping that may hold a password: it belongs to a client and never into a log.
    """
    connection = KafkaConnection(kafka) if isinstance(kafka, str) else kafka
    security = connection.security
    config: dict[str, Any] = {
        "bootstrap.servers": connection.bootstrap,
        "client.id": client_id,
        "security.protocol": security.protocol,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1_000,
        # Trouble with a connection reaches callers as an error; the client's own lines would only repeat it.
        "log_level": 0,
    }
    if security.has_user:
        config["sasl.mechanism"] = security.mechanism
        config["sasl.username"], config["sasl.password"] = security.username, security.password
    if security.ca_file:
        config["ssl.ca.location"] = security.ca_file
    return {**config, **(own or {})}
