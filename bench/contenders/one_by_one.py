"""Shared by rivals that process one event at a time: the rules, with every lookup behind a cache and state in dicts.

The definitions are the product's; the code is row by row, as one would usually write it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from bench.contenders.rows import COLUMNS, Click, Inserter, Plain, Session
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.clicks.encoding.enrichment_encoder import page_of
from marketplace.clicks import bots
from marketplace.clicks.events import CollectedClick
from marketplace.enrichments import ENRICHMENTS, Lookups
from marketplace.rollups import SPARSE, STORED, local_day
from marketplace.stores import Store
from runtime.sections import Settings

_GAP_MS: Final = 30 * 60_000
_QUARTER_MS: Final = 15 * 60_000
_HOUR_MS: Final = 3_600_000
_WEEK_MS: Final = 7 * 24 * _HOUR_MS
_YEAR_2000_MS: Final = 946_684_800_000
_CACHE: Final = 65_536
_HEX: Final = frozenset("0123456789abcdef")
_Split = tuple[str, int | None, bool]


def _splits(visits: bool) -> list[_Split]:
    return [
        (d.name, None if d.column is None else COLUMNS.index(d.column), d.name in SPARSE)
        for d in STORED
        if (d.scope == "visit") == visits
    ]


_OF_EVENTS: Final = _splits(visits=False)
_OF_VISITS: Final = _splits(visits=True)
_PAGE: Final = COLUMNS.index("page")
_parse = msgspec.json.Decoder(CollectedClick).decode


@dataclass
class Past:
    """State of earlier events, of one visitor or of all."""

    keys: set[tuple[str, int]] = field(default_factory=set)
    clicked: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    in_minute: dict[tuple[str, int], int] = field(default_factory=dict)
    sessions: dict[tuple[str, int], list[Session]] = field(default_factory=dict)


@dataclass
class Verdict:
    """The result of one record.

    Attributes:
        counted: Its rows of the ledger: store, hour, kind, name.
        click: The fact.
        visits: Sessions that it changed, and their earlier state; None for a new one.
    """

    counted: list[tuple[str, int, str, str]]
    click: Click | None = None
    visits: list[tuple[Session, Plain | None]] = field(default_factory=list)


class Rules:
    """Decides events."""

    def __init__(self, settings: Settings) -> None:
        self.stores = {s.slug: s for s in MongoStores(connect(settings.urls.mongo), settings.database).list_stores()}
        lookups, agents = Lookups(GeoIP().snapshot(), UserAgents()), CrawlerList()
        geo, device, referral = ENRICHMENTS
        self._geo = lru_cache(_CACHE)(lambda ip: geo.enrich(lookups, (ip,)))
        self._device = lru_cache(_CACHE)(lambda agent: device.enrich(lookups, (agent,)))
        self._referral = lru_cache(_CACHE)(lambda *given: referral.enrich(lookups, given))
        self._judge = lru_cache(_CACHE)(lambda agent: bots.judge_agent(agent, agents))
        self._referrer_reasons = lru_cache(_CACHE)(bots.referrer_reasons)
        self._page = lru_cache(_CACHE)(page_of)
        self._page_reasons = lru_cache(_CACHE)(bots.event_reasons)
        self._in_networks = lru_cache(_CACHE)(_in_networks)
        self._domains = {slug: store.rules_text for slug, store in self.stores.items()}

    def read(self, value: bytes) -> CollectedClick | None:
        """The event in a record; None if it is not valid."""
        try:
            event = _parse(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if event.store not in self.stores or len(event.key) != 16 or len(event.visitor) != 16:
            return None
        return event if _HEX.issuperset(event.key) and _HEX.issuperset(event.visitor) else None

    def unreadable(self, timestamp_ms: int) -> Verdict:
        """The result of an invalid record."""
        hour = timestamp_ms // _HOUR_MS
        return Verdict([("", hour, "received", "received"), ("", hour, "outcome", "invalid")])

    def decide(self, partition: int, offset: int, event: CollectedClick, past: Past) -> Verdict:
        """The result of an event; updates ``past``."""
        hour = event.received_at_ms // _HOUR_MS
        verdict = Verdict([(event.store, hour, "received", "received")])
        when, note = _real_time(event)
        outcome = self._outcome(partition, offset, event, when, note, past, verdict)
        verdict.counted.append((event.store, hour, "outcome", outcome))
        if note:
            verdict.counted.append((event.store, hour, "note", note))
        return verdict

    def _outcome(
        self, partition: int, offset: int, event: CollectedClick, when: int, note: str, past: Past, verdict: Verdict
    ) -> str:
        if when < _YEAR_2000_MS or event.received_at_ms - when > _WEEK_MS:
            return "late"
        if self._is_blocked(event, self.stores[event.store]):
            return "blocked"
        if _seen(event, past):
            return "duplicate"
        page = self.stores[event.store].page(self._page(event.url))
        values = (
            *self._geo(event.ip),
            *self._device(event.user_agent),
            *self._referral(*(self._given(event, name) for name in ENRICHMENTS[2].reads)),
            page,
            event.product,
        )
        agent = self._judge(event.user_agent)
        reasons = agent.reasons + self._page_reasons(page, event.automated) + self._referrer_reasons(event.referrer)
        minute = (event.visitor, when // 60_000)
        earlier = past.in_minute.get(minute, 0)
        if earlier >= bots.RATE_LIMIT_PER_MINUTE:
            reasons += (bots.RATE,)
        past.in_minute[minute] = earlier + 1
        refire, is_bot = _is_refire(event, when, past), 1 if reasons else 0
        outcome = "refire" if refire else "bot" if reasons else "counted"
        kind = bots.bot_kind(reasons, agent)
        verdict.click = Click(partition, offset, event, when, outcome, is_bot, ",".join(reasons), kind, note, values)
        _visit(verdict.click, past, verdict.visits)
        return outcome

    def _is_blocked(self, event: CollectedClick, store: Store) -> bool:
        if event.opted_out and store.honour_opt_out:
            return True
        return bool(store.blocked_networks) and self._in_networks(event.ip, store.blocked_networks)

    def _given(self, event: CollectedClick, name: str) -> str:
        return self._domains[event.store] if name == "store_rules" else str(getattr(event, name))


class TableWriter:
    """Aggregates verdicts and inserts the rows."""

    def __init__(self, settings: Settings, stores: dict[str, Store]) -> None:
        self._rows = Inserter(settings)
        self._zones = {slug: ZoneInfo(store.timezone) for slug, store in stores.items()}
        self._day = lru_cache(_CACHE)(self._find_day)
        self._touched: dict[int, tuple[Session, Plain | None]] = {}
        self.events = 0

    def add(self, verdict: Verdict) -> None:
        """Add one verdict."""
        self.events += 1
        for key in verdict.counted:
            self._rows.ledger[key] += 1
        if verdict.click is None:
            return
        click = verdict.click
        self._rows.clicks.append(click)
        kind, visitor = _kind(click), int(click.event.visitor, 16)
        for key in self._keys(click.event.store, click.when, click.is_bot, click.values, _OF_EVENTS):
            cell = self._rows.cells[key]
            cell[kind] += 1
            cell[6].add(visitor)
        for session, before in verdict.visits:
            # If the past was read back, the same session is a new object each time: the last one is valid.
            first = self._touched.get(session.number)
            self._touched[session.number] = (session, before if first is None else first[1])

    def flush(self) -> None:
        """Insert all aggregated rows."""
        for session, before in self._touched.values():
            if before is not None:
                self._weigh(before, -1)
                if session.gone or session.values != before.values:
                    self._leave(before)
            if not session.gone:
                self._weigh(session.plain(), 1)
        self._touched.clear()
        self._rows.flush()
        self.events = 0

    def _weigh(self, session: Plain, sign: int) -> None:
        store, visitor, is_bot, start_ms, end_ms, views, actions, _, values, pieces = session
        self._rows.sessions.append((*session, sign))
        for key in self._keys(store, start_ms, is_bot, values, _OF_EVENTS + _OF_VISITS):
            cell = self._rows.cells[key]
            cell[3] += sign
            cell[4] += sign if views <= 1 and actions == 0 else 0
            cell[5] += sign * (end_ms - start_ms)
        number = int(visitor, 16)
        for quarter, *counts in pieces:
            for key in self._keys(store, quarter * _QUARTER_MS, is_bot, values, _OF_VISITS):
                cell = self._rows.cells[key]
                for at, count in enumerate(counts):
                    cell[at] += sign * count
                if sign > 0:
                    cell[6].add(number)

    def _leave(self, session: Plain) -> None:
        """Name the visitor beside the sets of what the session had done under its earlier values."""
        for quarter, *_ in session.pieces:
            when = quarter * _QUARTER_MS
            for key in self._keys(session.store, when, session.is_bot, session.values, _OF_VISITS):
                self._rows.cells[key][7].add(int(session.visitor, 16))

    def _keys(
        self, store: str, when: int, is_bot: int, values: tuple[str, ...], splits: list[_Split]
    ) -> list[tuple[Any, ...]]:
        quarter = when // _QUARTER_MS
        day = self._day(store, quarter)
        keys: list[tuple[Any, ...]] = []
        for name, at, sparse in splits:
            value = "" if at is None else values[at]
            if sparse and value == "":
                continue
            keys.append((store, "quarter", name, quarter * 900, value, is_bot))
            keys.append((store, "day", name, day, value, is_bot))
        return keys

    def _find_day(self, store: str, quarter: int) -> int:
        return int(local_day(quarter * _QUARTER_MS, self._zones[store]).timestamp())


def _real_time(event: CollectedClick) -> tuple[int, str]:
    received, occurred, sent = event.received_at_ms, event.occurred_at_ms, event.sent_at_ms
    if occurred is None:
        return received, ""
    if sent is not None:
        when = received - max(0, sent - occurred)
        return when, "clock_corrected" if abs(when - occurred) > 60_000 else ""
    return (received, "future_clamped") if occurred > received else (occurred, "")


def _in_networks(ip: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)


def _seen(event: CollectedClick, past: Past) -> bool:
    if event.occurred_at_ms is not None:
        key = (event.key, event.occurred_at_ms // _HOUR_MS)
        known = key in past.keys
    else:
        key = (event.key, event.received_at_ms // _HOUR_MS)
        known = key in past.keys or (event.key, key[1] - 1) in past.keys
    if not known:
        past.keys.add(key)
    return known


def _is_refire(event: CollectedClick, when: int, past: Past) -> bool:
    named = str(sorted((event.properties or {}).items()))
    target = (event.visitor, event.type, event.target, event.product, event.url, event.name, named)
    times = past.clicked.get(target)
    if times is None:
        past.clicked[target] = [when]
        return False
    if any(abs(when - near) < 2_000 for near in times):
        return True
    times.append(when)
    return False


def _kind(click: Click) -> int:
    """Where an event counts: views, actions, re-fires."""
    return 2 if click.outcome == "refire" else 0 if click.event.type == "view" else 1


def _add_piece(session: Session, quarter: int, counts: Iterable[int]) -> None:
    known = session.pieces.setdefault(quarter, [0, 0, 0])
    for at, count in enumerate(counts):
        known[at] += count


def _visit(click: Click, past: Past, changed: list[tuple[Session, Plain | None]]) -> None:
    when, page = click.when, click.values[_PAGE]
    counts = [int(at == _kind(click)) for at in range(3)]
    known = past.sessions.setdefault((click.event.visitor, click.is_bot), [])
    near = [s for s in known if s.start_ms - _GAP_MS <= when <= s.end_ms + _GAP_MS]
    if not near:
        number, event = click.offset << 16 | click.partition, click.event
        pieces = {when // _QUARTER_MS: counts}
        session = Session(number, event.store, event.visitor, click.is_bot, when, when, page, click.values, pieces)
        known.append(session)
        changed.append((session, None))
        return
    changed += [(session, session.plain()) for session in near]
    first, *others = near
    for other in others:
        if other.start_ms < first.start_ms:
            first.start_ms, first.values = other.start_ms, other.values
        if other.end_ms > first.end_ms:
            first.end_ms, first.exit_page = other.end_ms, other.exit_page
        for quarter, done in other.pieces.items():
            _add_piece(first, quarter, done)
        other.gone = True
        known.remove(other)
    if when < first.start_ms:
        first.start_ms, first.values = when, click.values
    if when >= first.end_ms:
        first.end_ms, first.exit_page = when, page
    _add_piece(first, when // _QUARTER_MS, counts)
