"""From the door for history to the numbers: what is imported is counted once, at its own time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from marketplace.stores import hash_write_key, import_key
from marketplace.topics import CLICKS_COLLECTED
from tests.kits.clicks import STORES, Run, as_log, oracle, run
from tests.kits.collector import WRITE_KEY, Collector, running_collector

KEY = import_key("alpha", "6b" * 16)
STORE = replace(STORES["alpha"], write_key_hash=hash_write_key(WRITE_KEY), import_key_hash=hash_write_key(KEY))
DAY_MS = 86_400_000
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector(store=STORE) as running:
        yield running


def send(collector: Collector, *events: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    assert collector.http.post("/v1/import", content=msgspec.json.encode(events), headers=headers).status_code == 202


def event(collector: Collector, days: float, **fields: Any) -> dict[str, Any]:
    when = round(collector.clock.now_ms - days * DAY_MS)
    return {"event_id": "a", "occurred_at": when, "ip": "198.51.100.7", "user_agent": AGENT, **fields}


def counted(collector: Collector) -> tuple[Run, dict[str, int]]:
    """The log through the flow, whose outcomes must be the oracle's."""
    values = [record.value for record in collector.producer.records(CLICKS_COLLECTED.name)]
    # The tests' machine works on one partition; where a visitor's events lie was decided by the collector.
    assert len({record.partition for record in collector.producer.records(CLICKS_COLLECTED.name)}) == 1
    done, log = run(as_log(values)), as_log(values)
    outcomes: dict[str, int] = {}
    for (_, _, kind, name), events in done.pages.ledger().items():
        if kind == "outcome":
            outcomes[name] = outcomes.get(name, 0) + events
    assert outcomes == dict(oracle(log).by_outcome())
    return done, outcomes


def test_an_event_of_40_days_ago_is_counted_at_its_own_time(collector: Collector) -> None:
    send(collector, event(collector, 40))
    done, outcomes = counted(collector)
    assert outcomes == {"counted": 1}
    assert [row["occurred_at"] for row in done.pages.tables["clicks"]] == [event(collector, 40)["occurred_at"]]


def test_sent_twice_and_a_day_later_again_it_counts_once(collector: Collector) -> None:
    first = event(collector, 40)
    send(collector, first)
    send(collector, first)
    collector.clock.step(86_400)
    send(collector, first)
    assert counted(collector)[1] == {"counted": 1, "duplicate": 2}


def test_sent_again_when_the_days_salt_is_gone_it_counts_once(collector: Collector) -> None:
    first = event(collector, 40)
    send(collector, first)
    collector.clock.step(3 * 86_400)
    send(collector, first)
    assert len({click.visitor for click in collector.clicks()}) == 2
    assert counted(collector)[1] == {"counted": 1, "duplicate": 1}


def test_what_a_page_sent_before_is_not_counted_again(collector: Collector) -> None:
    seen = event(collector, 1, visitor_id="me")
    page = {name: value for name, value in seen.items() if name not in ("ip", "user_agent")}
    assert collector.post(page, **{"user-agent": AGENT}).status_code == 202
    send(collector, seen)
    assert counted(collector)[1] == {"counted": 1, "duplicate": 1}


def test_what_happened_before_2000_is_late(collector: Collector) -> None:
    send(collector, event(collector, 40, occurred_at="1999-12-31T23:59:59Z"))
    assert counted(collector)[1] == {"late": 1}
