from __future__ import annotations

import pytest

from ingest.config import CollectorConfig
from marketplace.networks import parse_networks
from runtime.settings import InvalidSettings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert CollectorConfig.load({}) == CollectorConfig()


def test_every_variable_is_read() -> None:
    config = CollectorConfig.load(
        {
            "MARKETPLACE_COLLECTOR_TRUSTED_PROXIES": "10.0.0.0/8, 127.0.0.1",
            "MARKETPLACE_COLLECTOR_MAX_BODY_BYTES": "10",
            "MARKETPLACE_COLLECTOR_STORE_EVENTS_PER_SECOND": "0",
            "MARKETPLACE_COLLECTOR_CLIENT_BURST_REQUESTS": "5",
        }
    )

    assert config.trusted_proxies == parse_networks("10.0.0.0/8,127.0.0.1/32")
    assert (config.max_body_bytes, config.store_limit.rate_per_second, config.client_limit.burst) == (10, 0, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "everyone"),
        ("MAX_BODY_BYTES", "1 MB"),
        ("MAX_BODY_BYTES", "0"),
        ("BODY_TIMEOUT_SECONDS", "nan"),
        ("KAFKA_TIMEOUT_SECONDS", "inf"),
        ("CLIENT_REQUESTS_PER_SECOND", "-1"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"MARKETPLACE_COLLECTOR_{name}={value}"):
        CollectorConfig.load({f"MARKETPLACE_COLLECTOR_{name}": value})
