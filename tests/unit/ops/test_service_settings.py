"""What `up` refuses before it starts anything, because a service would refuse it afterwards."""

from __future__ import annotations

import pytest

from ops.stack.registry import REGISTRY, SERVICES
from runtime.settings import InvalidSettings


def check(environment: dict[str, str]) -> None:
    REGISTRY.check_settings(SERVICES, environment)


def test_what_no_service_could_use_is_refused_all_at_once() -> None:
    environment = {
        "MARKETPLACE_FLOW_WORKERS": "0",
        "MARKETPLACE_COLLECTOR_MAX_BODY_BYTES": "much",
        "MARKETPLACE_COLLECTOR_ADMIN_PORT": "x",
        "MARKETPLACE_DASHBOARD_PORT": "0",
        "MARKETPLACE_LOG_FORMAT": "xml",
    }
    with pytest.raises(InvalidSettings) as raised:
        check(environment)

    assert len(str(raised.value).split("; ")) == len(environment)
    assert all(f"{name}={value}" in str(raised.value) for name, value in environment.items())


def test_an_environment_that_says_nothing_can_be_used() -> None:
    check({})


def test_the_embedded_kafka_is_not_asked_for_users_that_it_has_not() -> None:
    secured = {"MARKETPLACE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    with pytest.raises(InvalidSettings, match="the embedded Kafka has no users"):
        check(secured)
    check({**secured, "MARKETPLACE_KAFKA_URL": "kafka.example:9093"})
