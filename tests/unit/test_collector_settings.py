from __future__ import annotations

import logging

import pytest

from ingest.config import CollectorConfig
from ingest.logs import RedactingFormatter, redact
from marketplace.collect_address import parse_networks
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


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/pixel.gif?key=hunter2&url=x",
        "authorization: Bearer hunter2",
        "'x-write-key': 'hunter2'",
        "(b'x-write-key', b'hunter2')",
        "from 203.0.113.77 port 80",
        "from 2001:db8::5 port 80",
    ],
)
def test_keys_and_addresses_are_masked(text: str) -> None:
    masked = redact(text)

    assert masked != text
    assert not any(secret in masked for secret in ("hunter2", "203.0.113.77", "2001:db8::5"))


def test_ordinary_text_is_left_alone() -> None:
    assert (
        redact("kafka: no acknowledgement from Kafka within 11 s") == "kafka: no acknowledgement from Kafka within 11 s"
    )


def test_a_traceback_is_masked_too() -> None:
    formatter = RedactingFormatter("%(message)s")
    try:
        raise ValueError("peer 203.0.113.77")
    except ValueError as error:
        details = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed", None, details)

    text = formatter.format(record)

    assert "ValueError" in text
    assert "203.0.113.77" not in text
