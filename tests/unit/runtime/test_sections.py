"""The sections that several processes share."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.settings import Urls
from runtime.sections import MongoSettings, Settings, read_kafka
from runtime.settings import InvalidSettings, MissingUrl, load

RUNNING = Urls("k:1", "mongodb://m", "http://c", "redis://r")
SASL = {
    "MARKETPLACE_KAFKA_URL": "k:1",
    "MARKETPLACE_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "MARKETPLACE_KAFKA_SASL_USERNAME": "flow",
    "MARKETPLACE_KAFKA_SASL_PASSWORD": "hunter2",
}


def test_who_needs_mongodb_alone_is_not_asked_for_clickhouse() -> None:
    environment = {"MARKETPLACE_MONGO_URL": "mongodb://m", "MARKETPLACE_CLICKHOUSE_URL": "nonsense"}

    assert load(environment, MongoSettings.read) == MongoSettings("mongodb://m", "marketplace")


def test_the_environment_comes_before_the_running_stack() -> None:
    settings = Settings.load({"MARKETPLACE_MONGO_URL": "mongodb://elsewhere", "MARKETPLACE_DATABASE": "mine"}, RUNNING)

    assert settings.urls == Urls("k:1", "mongodb://elsewhere", "http://c", "redis://r")
    assert settings.mongo == MongoSettings("mongodb://elsewhere", "mine")


def test_without_a_stack_all_urls_that_are_missing_are_named() -> None:
    with pytest.raises(MissingUrl) as raised:
        Settings.load({"MARKETPLACE_CLICKHOUSE_URL": "http://c"})

    assert str(raised.value) == (
        "no stack is running in .marketplace: start one with "
        "'marketplace up', name the folder of one with --data, "
        "or set MARKETPLACE_KAFKA_URL, MARKETPLACE_MONGO_URL, MARKETPLACE_REDIS_URL"
    )


def test_kafka_is_asked_without_a_user_unless_one_is_named() -> None:
    security = load({"MARKETPLACE_KAFKA_URL": "k:1"}, read_kafka).security

    assert (security.protocol, security.has_user, security.is_encrypted) == ("PLAINTEXT", False, False)


def test_kafkas_user_and_certificates_are_read(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    environment = {**SASL, "MARKETPLACE_KAFKA_SSL_CA_FILE": str(ca_file)}

    connection = Settings.load(environment, RUNNING).kafka

    assert (connection.bootstrap, connection.security.protocol) == ("k:1", "SASL_SSL")
    assert (connection.security.username, connection.security.password) == ("flow", "hunter2")
    assert (connection.security.mechanism, connection.security.ca_file) == ("SCRAM-SHA-512", str(ca_file))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MARKETPLACE_KAFKA_SASL_USERNAME": ""}, "SASL_SSL needs a user and a password"),
        ({"MARKETPLACE_KAFKA_SECURITY_PROTOCOL": ""}, "need SASL_SSL or SASL_PLAINTEXT, not PLAINTEXT"),
        ({"MARKETPLACE_KAFKA_SECURITY_PROTOCOL": "TLS"}, "give PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"MARKETPLACE_KAFKA_SASL_MECHANISM": "GSSAPI"}, "give SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
        ({"MARKETPLACE_KAFKA_SSL_CA_FILE": "/nowhere/ca.pem"}, "/nowhere/ca.pem: give a file that can be read"),
    ],
)
def test_a_way_to_connect_that_cannot_be_is_refused_without_the_password(changes: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        load({**SASL, **changes}, read_kafka)

    assert said in str(raised.value)
    assert "MARKETPLACE_KAFKA_" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_child_process_reads_the_settings_of_its_parent() -> None:
    for settings in (Settings.load(SASL, RUNNING), Settings.load({"MARKETPLACE_DATABASE": "mine"}, RUNNING)):
        assert Settings.load(settings.environment()) == settings


def test_no_representation_of_settings_has_the_password() -> None:
    assert "hunter2" not in repr(Settings.load(SASL, RUNNING))
