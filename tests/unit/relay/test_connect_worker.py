"""What a worker of Kafka Connect is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.kafka.client_config import PLAINTEXT, KafkaSecurity
from marketplace.settings import Urls
from marketplace.topics import CONNECT_TOPICS
from ops.stack.components import Launch
from ops.stack.errors import StackError
from ops.stack.parts.connect import worker_settings
from ops.stack.registry import REGISTRY

PASSWORD = 'hun"ter\\2'
SECURED = KafkaSecurity("SASL_SSL", "SCRAM-SHA-512", "relay", PASSWORD, "/certificates.pem")
URLS = Urls("127.0.0.1:1", "mongodb://user:hunter3@mongo")


@pytest.mark.parametrize("brokers", [1, 3])
def test_a_worker_that_is_there_first_makes_its_topics_as_they_are_declared(brokers: int) -> None:
    settings = worker_settings(1, "kafka:1", brokers, PLAINTEXT)
    for kind, topic in zip(("config", "offset", "status"), CONNECT_TOPICS, strict=True):
        replicas = topic.replicas(brokers)
        assert settings[f"{kind}.storage.topic"] == topic.name
        assert settings[f"{kind}.storage.replication.factor"] == replicas
        declared = {name: value for name, value in topic.settings(replicas).items() if name != "cleanup.policy"}
        assert {name: settings[f"{kind}.storage.{name}"] for name in declared} == declared
        assert topic.settings(replicas)["cleanup.policy"] == "compact"
        assert settings.get(f"{kind}.storage.partitions", 1) == topic.partitions == 1


def test_how_many_replicas_brokers_elsewhere_keep_is_theirs_to_say() -> None:
    settings = worker_settings(1, "kafka:1", None, PLAINTEXT)
    assert settings["config.storage.replication.factor"] == -1
    assert not any("min.insync" in name for name in settings)


def test_every_client_of_a_worker_connects_as_the_user_and_no_password_is_among_its_settings() -> None:
    settings = worker_settings(1, "kafka:1", None, SECURED)
    for client in ("", "producer.", "consumer.", "admin."):
        assert settings[f"{client}security.protocol"] == "SASL_SSL"
        assert settings[f"{client}ssl.truststore.location"] == "/certificates.pem"
        assert 'username="relay"' in str(settings[f"{client}sasl.jaas.config"])
        assert "${env:MARKETPLACE_KAFKA_SASL_PASSWORD}" in str(settings[f"{client}sasl.jaas.config"])
    assert "hun" not in str(settings)


def test_passwords_are_only_in_the_environment_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_USERNAME": "relay", "SASL_PASSWORD": PASSWORD,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"MARKETPLACE_KAFKA_{name}", value)
    try:
        (spec,) = REGISTRY["connect"].processes(Launch(tmp_path, {"connect": 18083}, 1, URLS))
    except StackError as error:
        pytest.skip(str(error))
    assert spec.environment == {
        "MARKETPLACE_MONGO_URL": URLS.mongo,
        "MARKETPLACE_DATABASE": "marketplace",
        "MARKETPLACE_KAFKA_SASL_PASSWORD": 'hun\\"ter\\\\2',
    }
    written = (tmp_path / "connect" / "worker.properties").read_text()
    assert "hun" not in written
    assert "hun" not in " ".join(spec.command)
