"""A limit that clients meet is changed together with the page that promises it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from marketplace.access_logs import requests
from marketplace.clicks import bots, collect, cost, events, outcomes, split, visitors
from marketplace.enrichments import text

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("page", "promise"),
    [
        ("how-to/send-events.md", f"1 to {events.MAX_EVENT_ID_CHARS} characters"),
        ("how-to/send-events.md", f"up to {events.MAX_URL_CHARS:,} characters each"),
        ("how-to/send-events.md", f"up to {events.MAX_TARGET_CHARS} characters"),
        ("how-to/send-events.md", f"the product's id, up to {events.MAX_PRODUCT_CHARS} |"),
        ("how-to/send-events.md", f"a first-party id of up to {collect.MAX_VISITOR_ID_CHARS} characters"),
        ("reference/devices.md", f"the first {events.MAX_USER_AGENT_CHARS:,} characters"),
        ("reference/bots.md", f"More than {bots.RATE_LIMIT_PER_MINUTE} events of one visitor in one minute"),
        ("reference/bots.md", f"fewer than {bots.MIN_USER_AGENT_CHARS} characters"),
        ("reference/limits.md", f"one for every {cost.BYTES_PER_UNIT} bytes"),
        ("reference/limits.md", f"{split.MAX_BODY_VALUES:,} | the same of a body"),
        ("reference/channels.md", f"cut at {text.MAX_VALUE_CHARS} characters"),
        ("how-to/add-an-enrichment.md", f"at most {text.MAX_VALUE_CHARS} characters"),
        ("reference/numbers.md", f"deleted after {visitors.SALT_LIFETIME // timedelta(hours=1)} hours"),
        ("how-to/import-access-logs.md", f"longer than {requests.MAX_LINE_BYTES // 1024} KiB"),
    ],
)
def test_the_page_has_the_number(page: str, promise: str) -> None:
    assert promise in (DOCS / page).read_text(encoding="utf-8")


def test_no_event_is_older_than_the_beginning_of_the_year_2000() -> None:
    assert datetime.fromtimestamp(outcomes.OLDEST_MS / 1000, UTC) == datetime(2000, 1, 1, tzinfo=UTC)


def test_a_salt_is_as_long_as_the_secret_of_a_store() -> None:
    assert visitors.SALT_BYTES * 8 == 256


def test_a_salt_lives_for_whole_hours() -> None:
    assert visitors.SALT_LIFETIME % timedelta(hours=1) == timedelta(0)


def test_a_line_of_a_log_is_bounded_by_whole_kibibytes() -> None:
    assert requests.MAX_LINE_BYTES % 1024 == 0
