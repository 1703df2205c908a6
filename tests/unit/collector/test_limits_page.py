"""The page of limits says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from ingest.collect.dead_letters import MAX_RAW_BYTES, MAX_REQUEST_BYTES
from ingest.config import CollectorConfig
from marketplace.clicks import cost, split
from marketplace.token_bucket import BucketPolicy

PAGE = (Path(__file__).parents[3] / "docs/reference/limits.md").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", PAGE, re.MULTILINE))
POLICIES = {
    "store_limit": ("STORE_EVENTS_PER_SECOND", "STORE_BURST_EVENTS"),
    "import_limit": ("IMPORT_EVENTS_PER_SECOND", "IMPORT_BURST_EVENTS"),
    "client_limit": ("CLIENT_REQUESTS_PER_SECOND", "CLIENT_BURST_REQUESTS"),
    "unknown_key_limit": ("UNKNOWN_KEYS_PER_SECOND", "UNKNOWN_KEYS_BURST"),
}


def settings() -> dict[str, Any]:
    """Every setting of the collector with its default."""
    found: dict[str, Any] = {}
    for one in fields(CollectorConfig):
        value = getattr(CollectorConfig(), one.name)
        if isinstance(value, BucketPolicy):
            rate, burst = POLICIES[one.name]
            found |= {rate: value.rate_per_second, burst: value.burst}
        else:
            found[one.name.upper()] = value
    return found


def test_the_page_names_every_setting_with_its_default() -> None:
    said = {name: float(text) if re.fullmatch(r"[0-9.]+", text) else text for name, text in ROWS.items()}

    assert said == {name: value if value not in ("", ()) else "none" for name, value in settings().items()}


def test_every_setting_on_the_page_is_read_from_the_environment() -> None:
    for name in settings():
        text = {"TRUSTED_PROXIES": "10.0.0.0/8", "CLIENT_HEADER": "forwarded"}.get(name, "7")

        assert CollectorConfig.load({f"MARKETPLACE_COLLECTOR_{name}": text}) != CollectorConfig(), name


def test_the_bounds_without_a_setting_are_those_of_the_code() -> None:
    units = {name: value for name, value in vars(cost).items() if name.endswith("_UNITS")}
    weights = (
        "a page (URL without its query) {NEW_PAGE_UNITS} units, a campaign (`utm_` or `campaign` in the query)\n"
        "{NEW_CAMPAIGN_UNITS}, a product {NEW_PRODUCT_UNITS}, a referrer {NEW_REFERRER_UNITS}, "
        "a user agent {NEW_AGENT_UNITS}."
    ).format(**units)
    for text in (
        weights,
        f"{split.MAX_EVENTS:,} | events of a body",
        f"{split.MAX_EVENT_VALUES:,} | values of an event",
        f"{split.MAX_BODY_VALUES:,} | the same of a body",
        f"{split.MAX_DIGITS} | digits",
        f"one for every {cost.BYTES_PER_UNIT} bytes",
        f"The last {cost.MOST_VALUES:,} to {2 * cost.MOST_VALUES:,} values",
        f"{MAX_RAW_BYTES // 1024} KiB | kept of one",
        f"{MAX_REQUEST_BYTES // 1024} KiB | kept of all",
    ):
        assert text in PAGE
