"""What a log line says, and what it never says."""

from __future__ import annotations

import json
import logging
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.stores import import_key
from runtime.logs import JsonFormatter, LogSettings, PlainFormatter, mask_addresses, redact
from runtime.settings import InvalidSettings, load

KEY = "0123456789abcdef0123456789abcdef"


def record(message: str, *args: object, error: Exception | None = None) -> logging.LogRecord:
    details = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord("flows.clicks", logging.WARNING, "x.py", 1, message, args, details)
    made.created = 1_767_226_530.1234
    return made


def raised(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/pixel.gif?key=hunter2&url=x",
        "authorization: Bearer hunter2",
        "'x-write-key': 'hunter2'",
        "(b'x-write-key', b'hunter2')",
        "sasl.password=hunter2, linger.ms=5",
        "{'sasl.password': 'hunter2 and more'}",
        "MARKETPLACE_KAFKA_SASL_PASSWORD=hunter2",
        "mongodb://app:hunter2@db.example:27017/?w=1",
        "redis://:hunter2@cache:6379/0",
        "https://user:hunter2@more@clickhouse/",
    ],
)
def test_passwords_tokens_and_keys_are_masked(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "more" not in redact(text)
    assert "<redacted>" in redact(text)


@pytest.mark.parametrize("text", [KEY, f"no store has {KEY}.", import_key("teahouse", KEY), KEY * 2])
def test_a_stores_keys_are_masked_wherever_they_stand(text: str) -> None:
    assert KEY not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "kafka: no acknowledgement from Kafka within 11 s",
        "ClickHouse at http://127.0.0.1:8123 is unavailable",
        "mongodb://127.0.0.1:27117/?replicaSet=secantus&directConnection=true does not answer",
        "the key of a record, and its value: both are there",
        "topic Vh3kTq0rTqyJpXK2fJj7vg, commit 6d47fdb2f6a1c9e3b5d7f90123456789abcdef01",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"request {KEY} failed: POST",
        f"payment {KEY}: charge: HTTP 400: an operator has to look at it",
        f"refund {KEY} of payment {KEY} came back: an operator decides",
        f"order {KEY} is due and cannot be acted on",
        f"there is no payment of the order '{KEY}'",
        f"reservation {KEY} is due and cannot be acted on",
        f"the import {KEY} failed",
    ],
)
def test_ids_by_which_operators_find_what_a_message_is_about_are_left_alone(text: str) -> None:
    assert redact(text) == text
    assert KEY not in redact(text.replace(KEY, KEY * 2))


@pytest.mark.parametrize("text", ["from 203.0.113.77 port 80", "from 2001:db8::5 port 80"])
def test_addresses_are_masked_where_clients_are_visitors(text: str) -> None:
    assert mask_addresses(text) == "from <address> port 80"


@given(st.text(alphabet="ab.-_:=/@'\" key?", max_size=40), st.integers(1, 400))
def test_masking_takes_a_time_that_grows_with_the_length_of_the_text(piece: str, times: int) -> None:
    text = (piece * times)[:8_000] + "://a:" + "b" * 1_000
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 1.0


def test_a_plain_line_has_the_time_in_utc_the_level_the_logger_and_the_message() -> None:
    line = PlainFormatter().format(record("%d late", 3))

    assert line == "2026-01-01T00:15:30.123Z WARNING flows.clicks 3 late"


def test_a_traceback_is_masked_too() -> None:
    for formatter in (PlainFormatter(), JsonFormatter()):
        text = formatter.format(record("failed", error=raised("mongodb://app:hunter2@db")))

        assert "ValueError: mongodb://app:<redacted>@db" in text
        assert "hunter2" not in text


def test_a_json_line_is_one_line_whatever_the_message_holds() -> None:
    text = JsonFormatter().format(record("two\nlines \x00 \udcff", error=raised("why")))

    assert "\n" not in text
    found = json.loads(text)
    assert (found["time"], found["level"], found["logger"]) == ("2026-01-01T00:15:30.123Z", "warning", "flows.clicks")
    assert found["message"].startswith("two\nlines")
    assert found["traceback"].endswith("ValueError: why")


def test_format_and_level_come_from_the_environment() -> None:
    given = {"MARKETPLACE_LOG_FORMAT": "JSON", "MARKETPLACE_LOG_LEVEL": "Debug"}

    assert load(given, LogSettings.read) == LogSettings("json", "debug")
    assert load({}, LogSettings.read) == LogSettings("plain", "info")
    with pytest.raises(InvalidSettings, match="MARKETPLACE_LOG_LEVEL=loud: give debug, info, warning or error"):
        load({"MARKETPLACE_LOG_LEVEL": "loud"}, LogSettings.read)


def test_a_stack_that_is_asked_for_is_part_of_the_line() -> None:
    made = record("here")
    made.stack_info = f"Stack (most recent call last):\n  {sys.executable}"

    assert PlainFormatter().format(made).endswith(f"\n      {sys.executable}")
    assert made.stack_info in json.loads(JsonFormatter().format(made))["traceback"]


def test_what_a_client_wrote_never_looks_like_a_line_of_ours() -> None:
    lines = PlainFormatter().format(record("refused %s", "x\n2026-01-01 ERROR ops forged\rhidden")).splitlines()

    assert lines[1:] == ["    2026-01-01 ERROR ops forged\\rhidden"]
