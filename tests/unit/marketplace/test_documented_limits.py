"""A limit that clients meet is changed together with the page that promises it."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.clicks import access_log, bots, collect, cost, events

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
        ("how-to/import-access-logs.md", f"longer than {access_log.MAX_LINE_BYTES // 1024} KiB"),
    ],
)
def test_the_page_has_the_number(page: str, promise: str) -> None:
    assert promise in (DOCS / page).read_text(encoding="utf-8")


def test_a_line_of_a_log_is_bounded_by_whole_kibibytes() -> None:
    assert access_log.MAX_LINE_BYTES % 1024 == 0
