"""A rival: the loop that a good engineer writes first, tuned.

Batches from the broker, typed decoding, every lookup behind a cache, state in dictionaries, numbers added up per batch,
batched Arrow inserts into the same tables, offsets committed after them: at least once. It keeps all its state in
memory and has none of it after a restart; what it had half written is then written again. One event at a time, in
plain Python, with the same definitions of everything that is counted.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import confluent_kafka
import msgspec

from bench.contender import Task
from bench.contenders.loop_rows import Inserter, Session
from connectors.bot_list import CrawlerList
from connectors.geoip import GeoIP
from connectors.mongo_stores import MongoStores, connect
from connectors.user_agents import UserAgents
from marketplace import bots
from marketplace.enrichments import ENRICHMENTS, Lookups
from marketplace.events import CollectedClick
from marketplace.rollups import DIMENSIONS, SPARSE, local_day
from marketplace.topics import CLICKS_COLLECTED

_AT_ONCE: Final = 20_000
_FLUSH_EVENTS: Final = 200_000
_GAP_MS: Final = 30 * 60_000
_QUARTER_MS: Final = 15 * 60_000
_HOUR_MS: Final = 3_600_000
_WEEK_MS: Final = 7 * 24 * _HOUR_MS
_YEAR_2000_MS: Final = 946_684_800_000
_HEX: Final = frozenset("0123456789abcdef")


class Loop:
    """The loop's state and what it does with one event."""

    def __init__(self, task: Task) -> None:
        settings = task.settings
        self.stores = {s.slug: s for s in MongoStores(connect(settings.urls.mongo), settings.database).list_stores()}
        self.rows = Inserter(settings)
        lookups, agents = Lookups(GeoIP().snapshot(), UserAgents()), CrawlerList()
        geo, device, referral = ENRICHMENTS
        self.geo = lru_cache(65_536)(lambda ip: geo.enrich(lookups, (ip,)))
        self.device = lru_cache(65_536)(lambda agent: device.enrich(lookups, (agent,)))
        self.referral = lru_cache(65_536)(lambda *given: referral.enrich(lookups, given))
        self.agent_reasons = lru_cache(65_536)(lambda agent: bots.user_agent_reasons(agent, agents))
        self.page = lru_cache(65_536)(_page)
        self.page_reasons = lru_cache(65_536)(lambda page, automated: bots.event_reasons(page, automated))
        self.blocked = lru_cache(65_536)(_blocked)
        self.day = lru_cache(65_536)(self._day)
        self.domains = {slug: ",".join(store.domains) for slug, store in self.stores.items()}
        self.keys: set[tuple[str, int]] = set()
        self.clicked: dict[tuple[str, ...], list[int]] = {}
        self.in_minute: Counter[tuple[str, int]] = Counter()
        self.sessions: dict[tuple[str, int], list[Session]] = {}
        self.touched: dict[int, tuple[Session, tuple[Any, ...] | None]] = {}

    def event(self, partition: int, offset: int, timestamp_ms: int, value: bytes) -> None:
        """Count one record."""
        count = self.rows.ledger
        try:
            event = _decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            event = None
        if event is None or event.store not in self.stores or not _holds(event):
            count["", timestamp_ms // _HOUR_MS, "received", "received"] += 1
            count["", timestamp_ms // _HOUR_MS, "outcome", "invalid"] += 1
            return
        hour = event.received_at_ms // _HOUR_MS
        count[event.store, hour, "received", "received"] += 1
        when, note = _real_time(event)
        outcome = self._outcome(partition, offset, event, when, note)
        count[event.store, hour, "outcome", outcome] += 1
        if note:
            count[event.store, hour, "note", note] += 1

    def _outcome(self, partition: int, offset: int, event: CollectedClick, when: int, note: str) -> str:
        if when < _YEAR_2000_MS or event.received_at_ms - when > _WEEK_MS:
            return "late"
        store = self.stores[event.store]
        if event.opted_out and store.honour_opt_out:
            return "blocked"
        if store.blocked_networks and self.blocked(event.ip, store.blocked_networks):
            return "blocked"
        if self._seen(event):
            return "duplicate"
        values = (
            *self.geo(event.ip),
            *self.device(event.user_agent),
            *self.referral(*(self._given(event, name) for name in ENRICHMENTS[2].reads)),
            self.page(event.url),
            event.product,
        )
        reasons = self.agent_reasons(event.user_agent) + self.page_reasons(values[-2], event.automated)
        minute = (event.visitor, when // 60_000)
        if self.in_minute[minute] >= bots.RATE_LIMIT_PER_MINUTE:
            reasons += (bots.RATE,)
        self.in_minute[minute] += 1
        refire = self._is_refire(event, when)
        is_bot = 1 if reasons else 0
        outcome = "refire" if refire else "bot" if reasons else "counted"
        self.rows.add_click(partition, offset, event, when, outcome, is_bot, ",".join(reasons), note, values)
        self._add(event.store, when, is_bot, values, 0 if refire else 1, event.visitor)
        self._visit(event, when, is_bot, 0 if refire else 1, values)
        return outcome

    def _given(self, event: CollectedClick, name: str) -> str:
        return self.domains[event.store] if name == "store_domains" else str(getattr(event, name))

    def _seen(self, event: CollectedClick) -> bool:
        if event.occurred_at_ms is not None:
            key = (event.key, event.occurred_at_ms // _HOUR_MS)
            known = key in self.keys
        else:
            key = (event.key, event.received_at_ms // _HOUR_MS)
            known = key in self.keys or (event.key, key[1] - 1) in self.keys
        if not known:
            self.keys.add(key)
        return known

    def _is_refire(self, event: CollectedClick, when: int) -> bool:
        target = (event.visitor, event.type, event.target, event.product, event.url)
        times = self.clicked.get(target)
        if times is None:
            self.clicked[target] = [when]
            return False
        if any(abs(when - near) < 2_000 for near in times):
            return True
        times.append(when)
        return False

    def _add(self, store: str, when: int, is_bot: int, values: tuple[str, ...], click: int, visitor: str) -> None:
        for key in self._keys(store, when, is_bot, values):
            cell = self.rows.cells[key]
            cell[0] += click
            cell[1] += 1 - click
            cell[5].add(visitor)

    def _keys(self, store: str, when: int, is_bot: int, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
        quarter = when // _QUARTER_MS
        day = self.day(store, quarter)
        keys: list[tuple[Any, ...]] = []
        for name, at, sparse in _SPLITS:
            value = "" if at is None else values[at]
            if sparse and value == "":
                continue
            keys.append((store, "quarter", name, quarter * 900, value, is_bot))
            keys.append((store, "day", name, day, value, is_bot))
        return keys

    def _visit(self, event: CollectedClick, when: int, is_bot: int, click: int, values: tuple[str, ...]) -> None:
        known = self.sessions.setdefault((event.visitor, is_bot), [])
        near = [s for s in known if s.start_ms - _GAP_MS <= when <= s.end_ms + _GAP_MS]
        if not near:
            session = Session(event.store, event.visitor, is_bot, when, when, click, values)
            known.append(session)
            self.touched.setdefault(id(session), (session, None))
            return
        first = near[0]
        for session in near:
            self.touched.setdefault(id(session), (session, session.plain()))
        for other in near[1:]:
            if other.start_ms < first.start_ms:
                first.start_ms, first.values = other.start_ms, other.values
            first.end_ms, first.clicks = max(first.end_ms, other.end_ms), first.clicks + other.clicks
            other.gone = True
            known.remove(other)
        if when < first.start_ms:
            first.start_ms, first.values = when, values
        first.end_ms, first.clicks = max(first.end_ms, when), first.clicks + click

    def flush(self) -> None:
        """Write what has come together."""
        for session, before in self.touched.values():
            if before is not None:
                self._weigh(before, -1)
            if not session.gone:
                self._weigh(session.plain(), 1)
        self.touched.clear()
        self.rows.flush()

    def _weigh(self, session: tuple[Any, ...], sign: int) -> None:
        store, _, is_bot, start_ms, end_ms, clicks, values = session
        self.rows.add_session(session, sign)
        for key in self._keys(store, start_ms, is_bot, values):
            cell = self.rows.cells[key]
            cell[2] += sign
            cell[3] += sign if clicks <= 1 else 0
            cell[4] += sign * (end_ms - start_ms)

    def _day(self, store: str, quarter: int) -> int:
        return int(local_day(quarter * _QUARTER_MS, ZoneInfo(self.stores[store].timezone)).timestamp())


_decode = msgspec.json.Decoder(CollectedClick).decode
_COLUMNS: Final = [*(name for e in ENRICHMENTS for name in e.columns), "page", "product"]
_SPLITS: Final = [
    (d.name, None if d.column is None else _COLUMNS.index(d.column), d.name in SPARSE) for d in DIMENSIONS
]


def _holds(event: CollectedClick) -> bool:
    return len(event.key) == len(event.visitor) == 16 and _HEX.issuperset(event.key) and _HEX.issuperset(event.visitor)


def _real_time(event: CollectedClick) -> tuple[int, str]:
    received, occurred, sent = event.received_at_ms, event.occurred_at_ms, event.sent_at_ms
    if occurred is None:
        return received, ""
    if sent is not None:
        when = received - max(0, sent - occurred)
        return when, "clock_corrected" if abs(when - occurred) > 60_000 else ""
    return (received, "future_clamped") if occurred > received else (occurred, "")


def _blocked(ip: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)


def _page(url: str) -> str:
    from flows.clicks.families import page_of

    return page_of(url)


def run(task: Task) -> None:
    """From the first record to the last insert."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": task.settings.urls.kafka,
            "group.id": f"loop.{task.settings.database}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 4 << 20,
        }
    )
    consumer.subscribe([CLICKS_COLLECTED.name])
    loop = Loop(task)
    left, waiting = task.events, 0
    task.meter.start()
    while left:
        for message in consumer.consume(_AT_ONCE, 0.2):
            loop.event(message.partition() or 0, message.offset() or 0, message.timestamp()[1], message.value() or b"")
            left -= 1
            waiting += 1
        if waiting >= _FLUSH_EVENTS or (waiting and not left):
            loop.flush()
            consumer.commit(asynchronous=False)
            waiting = 0
    task.meter.stop()
    consumer.close()
