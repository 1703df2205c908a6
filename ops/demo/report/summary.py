"""The result of a demo run, as one document."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ops.demo.orders.numbers import OrderNumbers
from ops.demo.services.demo_accounts import DemoAccount


@dataclass
class StoreNumbers:
    """A store's numbers over all of the run, from ClickHouse, Mongo and Redis.

    Attributes:
        visitors_error: 0 where ``visitors`` is exact, else one standard error.
        mongo: Sums over the days of ``store_stats``; visitors of the newest day.
        redis: The live tile.
    """

    store: str
    title: str
    timezone: str
    views: int = 0
    actions: int = 0
    refires: int = 0
    visitors: int = 0
    visitors_error: float = 0.0
    sessions: int = 0
    bounces: int = 0
    bot_events: int = 0
    mongo: dict[str, Any] = field(default_factory=dict)
    redis: dict[str, Any] = field(default_factory=dict)


@dataclass
class Summary:
    """The result of a run.

    Attributes:
        ok: Everything was drained, the ledger closes and the oracle agrees.
        seconds: By phase, in order, and ``total``.
        sent: Events sent through the collector.
        accepted, rejected: Events by the collector's response; rejected ones are dead letters, not in the topic.
        broken_in_the_topic: Broken records that were written to the topic directly.
        written_twice: Records of requests that were sent again although Kafka had them already.
        received: Records of the topic that the ledger accounts for; those that orders' pages have sent, too.
        outcomes: Events by outcome; they add up to ``received``.
        notes: Events by note, such as a corrected clock.
        ledger_difference: ``received`` less all outcomes.
        click_to_queryable_ms: See ``freshness``; at an ordinary rate. ``..._under_full_load``: at full speed.
        oracle: How many numbers were compared, how many differ, and the first of those.
        orders: What became of the orders; None where none were placed.
        urls: What can be opened while the demo runs; empty after a check, which stops everything.
        accounts: Those that can sign in there, with their passwords; a check makes none.
    """

    ok: bool = False
    seed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    broken_in_the_topic: int = 0
    written_twice: int = 0
    received: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    ledger_difference: int = 0
    stores: list[StoreNumbers] = field(default_factory=list)
    events_per_second: int = 0
    click_to_queryable_ms: dict[str, int | None] = field(default_factory=dict)
    click_to_queryable_ms_under_full_load: dict[str, int | None] = field(default_factory=dict)
    oracle: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    requests_sent_again: int = 0
    restarts: dict[str, int] = field(default_factory=dict)
    data: str = ""
    orders: OrderNumbers | None = None
    urls: dict[str, str] = field(default_factory=dict)
    accounts: list[DemoAccount] = field(default_factory=list)
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """The summary as types that JSON has."""
        return asdict(self)
