"""The outcome of each readable event, one after the other, with all earlier events in plain dictionaries."""

from __future__ import annotations

import bisect
import ipaddress
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache

from marketplace.clicks import bots
from marketplace.clicks.bots import AgentMatcher
from marketplace.enrichments import ENRICHMENTS, Lookups
from marketplace.stores import Store
from ops.oracle.expected import Fact
from ops.oracle.reading import Event

_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000
_WEEK_MS = 7 * 24 * _HOUR_MS
_YEAR_2000_MS = 946_684_800_000
_REFIRE_MS = 2_000
_MAX_PAGE_CHARS = 512


def real_time(event: Event) -> tuple[int, tuple[str, ...]]:
    """When the event happened, in epoch milliseconds, and the corrections of the time that the client sent."""
    received, occurred, sent = event.received_at_ms, event.occurred_at_ms, event.sent_at_ms
    if occurred is None:
        return received, ()
    if sent is not None and event.origin != "import":
        when = received - max(0, sent - occurred)
        return when, ("clock_corrected",) if abs(when - occurred) > _MINUTE_MS else ()
    if occurred > received:
        return received, ("future_clamped",)
    return occurred, ()


def is_late(event: Event, when: int) -> bool:
    """Whether it is from before 2000 or, unless imported, more than seven days old at receipt."""
    return when < _YEAR_2000_MS or (event.origin != "import" and event.received_at_ms - when > _WEEK_MS)


def is_blocked(event: Event, store: Store) -> bool:
    """Whether the visitor opted out and the store honours it, or the seller blocks the network."""
    if event.opted_out and store.honour_opt_out:
        return True
    try:
        address = ipaddress.ip_address(event.ip)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in store.blocked_networks)


@lru_cache(maxsize=65_536)
def path_of(url: str) -> str:
    """The page of a URL: its decoded path, with unprintable characters replaced."""
    link = url
    for mark in ("#", "?"):
        if mark in link:
            link = link[: link.index(mark)]
    if "://" in link and "/" not in link[: link.index("://")]:
        link = link[link.index("://") + 3 :]
        link = link[link.index("/") :] if "/" in link else "/"
    raw = bytearray()
    at = 0
    while at < len(link):
        digits = link[at + 1 : at + 3]
        if link[at] == "%" and len(digits) == 2 and all(d in "0123456789abcdefABCDEF" for d in digits):
            raw.append(int(digits, 16))
            at += 3
        else:
            raw += link[at].encode("utf-8")
            at += 1
    text = raw.decode("utf-8", errors="replace")
    shown = [c if c == " " or unicodedata.category(c)[0] not in "CZ" else "\ufffd" for c in text]
    return "".join(shown[:_MAX_PAGE_CHARS]) or "/"


def page_of(url: str, store: Store) -> str:
    """The path under which a page of a store counts."""
    path = path_of(url)
    if store.page_case == "lower":
        path = path.lower()
    while store.trailing_slash == "strip" and len(path) > 1 and path[-1] == "/":
        path = path[:-1]
    return path


class OutcomeDecider:
    """Decides the outcomes of one partition's events, in the order of their offsets."""

    def __init__(self, partition: int, stores: Mapping[str, Store], lookups: Lookups, agents: AgentMatcher) -> None:
        self._partition, self._stores, self._lookups, self._agents = partition, stores, lookups, agents
        self._keys: set[tuple[str, int]] = set()
        self._clicked: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._in_minute: Counter[tuple[str, int]] = Counter()
        self._enriched: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._agents_seen: dict[str, bots.AgentVerdict] = {}

    def decide(self, offset: int, event: Event) -> tuple[str, tuple[str, ...], Fact | None]:
        """The event's outcome, the corrections of its time, and its fact; None if it is not accepted."""
        when, notes = real_time(event)
        if is_late(event, when):
            return "late", notes, None
        if is_blocked(event, self._stores[event.store]):
            return "blocked", notes, None
        if self._is_duplicate(event):
            return "duplicate", notes, None
        columns = self._enrich(event)
        reasons = self._reasons(event, when, columns["page"])
        columns["bot_kind"] = bots.bot_kind(reasons, self._agents_seen[event.user_agent])
        outcome = "refire" if self._is_refire(event, when) else "bot" if reasons else "counted"
        fact = Fact(
            partition=self._partition,
            offset=offset,
            store=event.store,
            event_id=event.event_id,
            visitor=event.visitor,
            occurred_ms=when,
            received_ms=event.received_at_ms,
            outcome=outcome,
            is_bot=1 if reasons else 0,
            bot_reasons=",".join(reasons),
            notes=notes,
            columns=columns,
            type=event.type,
            properties=event.properties or {},
        )
        return outcome, notes, fact

    def _is_duplicate(self, event: Event) -> bool:
        if event.occurred_at_ms is not None:
            hour = event.occurred_at_ms // _HOUR_MS
            known = (event.key, hour) in self._keys
        else:
            hour = event.received_at_ms // _HOUR_MS
            known = (event.key, hour) in self._keys or (event.key, hour - 1) in self._keys
        if not known:
            self._keys.add((event.key, hour))
        return known

    def _is_refire(self, event: Event, when: int) -> bool:
        properties = (event.properties or {}).items()
        times = self._clicked[
            event.visitor, event.type, event.target, event.product, event.url, event.name, str(sorted(properties))
        ]
        at = bisect.bisect_left(times, when)
        if any(abs(when - near) < _REFIRE_MS for near in times[max(0, at - 1) : at + 1]):
            return True
        times.insert(at, when)
        return False

    def _reasons(self, event: Event, when: int, page: str) -> tuple[str, ...]:
        if event.user_agent not in self._agents_seen:
            self._agents_seen[event.user_agent] = bots.judge_agent(event.user_agent, self._agents)
        reasons = self._agents_seen[event.user_agent].reasons + bots.event_reasons(page, event.automated)
        reasons += bots.referrer_reasons(event.referrer)
        minute = (event.visitor, when // _MINUTE_MS)
        if self._in_minute[minute] >= bots.RATE_LIMIT_PER_MINUTE:
            reasons += (bots.RATE,)
        self._in_minute[minute] += 1
        return reasons

    def _enrich(self, event: Event) -> dict[str, str]:
        columns: dict[str, str] = {}
        for enrichment in ENRICHMENTS:
            given = tuple(
                self._stores[event.store].rules_text if name == "store_rules" else getattr(event, name)
                for name in enrichment.reads
            )
            if (enrichment.name, given) not in self._enriched:
                self._enriched[enrichment.name, given] = enrichment.enrich(self._lookups, given)
            columns.update(zip(enrichment.columns, self._enriched[enrichment.name, given], strict=True))
        own = {
            "page": page_of(event.url, self._stores[event.store]),
            "product": event.product,
            "target": event.target,
            "name": event.name,
        }
        return {**columns, **own}
