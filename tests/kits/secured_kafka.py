"""A broker that asks for a user over TLS, as real clusters do; the embedded stack's broker asks for nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package does not list what it exports
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from connectors.kafka.client_config import KafkaConnection, KafkaSecurity, SaslMechanism
from ops.stack.health.checks import check
from ops.stack.parts.kafka_archive import prepared_kafka
from ops.stack.parts.kafka_nodes import KAFKA_CHECK
from ops.stack.ports import HOST
from runtime.parent_death import guarded
from runtime.ports import free_ports
from tests.kits.stack import eventually

USER: Final = "collector"
PASSWORD: Final = "correct-horse-battery"
_CLUSTER: Final = "c2VjdXJlZC1icm9rZXItMQ"
_START_SECONDS: Final = 60.0
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_PLAIN: Final = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'


@dataclass(frozen=True)
class SecuredKafka:
    """Where the broker listens, and the certificate that signs its own.

    Attributes:
        bootstrap: The listener that asks for a user over TLS.
        open_bootstrap: A listener that asks for nothing, for the broker itself.
        ca_file: PEM.
        other_ca_file: A certificate that signs nothing here.
    """

    bootstrap: str
    open_bootstrap: str
    ca_file: Path
    other_ca_file: Path

    def connection(
        self,
        password: str = PASSWORD,
        mechanism: SaslMechanism = "SCRAM-SHA-512",
        *,
        user: str = USER,
        ca_file: Path | None = None,
    ) -> KafkaConnection:
        """How a user connects."""
        security = KafkaSecurity("SASL_SSL", mechanism, user, password, str(ca_file or self.ca_file))
        return KafkaConnection(self.bootstrap, security)

    def create_user(self, name: str, password: str) -> None:
        """Create one, for ``SCRAM-SHA-512``."""
        admin = AdminClient({"bootstrap.servers": self.open_bootstrap})
        mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(name, mechanism, password.encode())
        for future in admin.alter_user_scram_credentials([change]).values():
            future.result(_START_SECONDS)


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Run the broker.

    Raises:
        StackError: Java or Kafka's jars cannot be had.
    """
    java = prepared_kafka()
    client, broker, controller = free_ports(3)
    ca_file, key_file = _certificate(folder, "broker")
    other_ca_file, _ = _certificate(folder, "stranger")
    properties = folder / "server.properties"
    properties.write_text(_properties(folder, client, broker, controller, ca_file, key_file))
    scram = [f"{name}=[name={USER},password={PASSWORD}]" for name in ("SCRAM-SHA-512", "SCRAM-SHA-256")]
    users = [argument for one in scram for argument in ("--add-scram", one)]
    command = [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties), *users]
    subprocess.run(command, check=True, capture_output=True, timeout=_START_SECONDS)
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            guarded([*java, "kafka.Kafka", str(properties)], os.getpid()),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        up = eventually(lambda: _is_up(f"{HOST}:{broker}"), _START_SECONDS)
        assert up, (folder / "broker.log").read_text()[-4_000:]
        yield SecuredKafka(f"{HOST}:{client}", f"{HOST}:{broker}", ca_file, other_ca_file)
    finally:
        process.kill()
        process.wait()


def _is_up(bootstrap: str) -> bool:
    try:
        return check(KAFKA_CHECK, bootstrap, 5.0).outcome == "fine"
    except OSError:
        return False


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A key, and a certificate of this machine that it signs itself."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=IP:{HOST},DNS:localhost", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=_START_SECONDS)
    return certificate, key


def _properties(folder: Path, client: int, broker: int, controller: int, ca_file: Path, key_file: Path) -> str:
    keystore = folder / "keystore.pem"
    keystore.write_text(key_file.read_text() + ca_file.read_text())
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CLIENT://{HOST}:{client},BROKER://{HOST}:{broker},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"CLIENT://{HOST}:{client},BROKER://{HOST}:{broker}",
        "listener.security.protocol.map": "CLIENT:SASL_SSL,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
        "listener.name.client.scram-sha-512.sasl.jaas.config": _SCRAM,
        "listener.name.client.scram-sha-256.sasl.jaas.config": _SCRAM,
        "listener.name.client.plain.sasl.jaas.config": _PLAIN,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keystore,
        "log.dirs": folder / "log",
        "num.partitions": 1,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "controlled.shutdown.enable": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
