"""The click path: one partition's batches in, rows out. No engine, no clock, no IO but the page store's.

A machine's answer for a batch depends only on the log before it, on the stores and on the versions of the lookups: not
on where batches were cut, on how many workers there are, or on when it was last restarted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from flows.clicks import account, rows
from flows.clicks.batch import I32, I64, U8, Bools, Columns, RawBatch, Reject
from flows.clicks.clock import Times, correct
from flows.clicks.contribute import contributions, events_as_sessions
from flows.clicks.decode import decode
from flows.clicks.dedupe import filed_under, find_duplicates
from flows.clicks.deltas import rollup
from flows.clicks.families import MAX_MEMO, inputs_of, make_families, renew_families
from flows.clicks.hashing import mix
from flows.clicks.memos import Memos
from flows.clicks.pages import HOUR_MS, MINUTE_MS, Pages, PageStore
from flows.clicks.refires import find_refires, rank_within
from flows.clicks.sessions import Sessions
from marketplace import bots
from marketplace.enrichments.registry import Lookups
from marketplace.outcomes import BLOCKED, BOT, CLOCK_CORRECTED, COUNTED, DUPLICATE, FUTURE_CLAMPED, LATE, REFIRE
from marketplace.rollups import QUARTER_MS, local_day
from marketplace.stores import Store

DEFAULT_PAGE_BYTES: Final = 64 << 20
"""About two million events of one partition; eight partitions on one worker hold half a gigabyte at most."""
_COMPACT_AT: Final = 500_000
"""Distinct answers of one family beyond which those that no session needs any more are forgotten."""


class Stores(Protocol):
    """The directory of stores as the flow knows it."""

    def known(self) -> Mapping[str, Store]:
        """All stores, possibly seconds old."""

    def refresh(self) -> Mapping[str, Store]:
        """All stores as they are now.

        Raises:
            Unavailable: The directory is away; the caller pauses and keeps its place.
        """


class Machine:
    """The click path of one partition.

    Args:
        partition: The Kafka partition.
        pages: Where the past is read back from.
        stores: The directory of stores.
        lookups: Gives this moment's lookups; asked once per batch.
        agents: Recognises automated user agents.
        applied: Fences of the tables at take-over, by table name. Sessions that the table already holds are not
            made again, because it holds their present and not their past.
        page_bytes: Memory for the past.
    """

    def __init__(
        self,
        partition: int,
        pages: PageStore,
        stores: Stores,
        lookups: Callable[[], Lookups],
        agents: bots.AgentMatcher,
        applied: Mapping[str, int],
        page_bytes: int = DEFAULT_PAGE_BYTES,
    ) -> None:
        self._partition, self._stores, self._lookups, self._agents = partition, stores, lookups, agents
        self._sessions_applied = applied.get("sessions", -1)
        self._pages = Pages(pages, partition, page_bytes)
        self._families = make_families(lookups())
        self._page_family = next(i for i, family in enumerate(self._families) if family.name == "page")
        self._sessions = Sessions(len(self._families))
        self._memos = Memos(agents)
        self._store_codes: dict[str, int] = {}
        self._days: dict[tuple[str, int], int] = {}
        self._known: Mapping[str, Store] = {}

    def step(self, batch: RawBatch) -> rows.BatchResult:
        """Decide every record of a batch.

        Raises:
            Unavailable: The page store or the directory of stores is away. Nothing was decided: step again.
        """
        self._forget()
        columns, rejects = self._decode(batch)
        renew_families(self._families, self._lookups())
        imported = np.array([event.origin == "import" for event in columns.events], dtype=np.bool_)
        times = correct(columns, imported)
        outcome = np.full(len(columns), COUNTED.name, dtype=object)
        outcome[self._memos.blocked(columns.events, self._known)] = BLOCKED.name
        outcome[times.late] = LATE.name
        hours = filed_under(columns, imported)
        fresh = self._drop_duplicates(columns, hours, outcome, batch.first_offset)
        facts = self._visit(columns.take(fresh), hours[fresh], times.take(fresh), batch.first_offset)
        outcome[fresh] = facts.outcome
        # From here on nothing asks the outside, so nothing can fail half-way: the batch becomes the past.
        result = rows.BatchResult(self._partition, batch.first_offset, batch.last_offset, len(batch.values))
        result.rejects = rejects + account.too_late(batch, columns, times, outcome)
        counts = account.count(batch, columns, rejects, times, outcome)
        result.tables["click_ledger"] = rows.ledger_rows(counts, self._partition, batch.last_offset)
        if len(facts.columns):
            self._write(result, facts)
        self._remember(facts, batch.last_offset)
        return result

    def _forget(self) -> None:
        if self._pages.evict():
            self._sessions.keep(self._pages.visit_hours(), HOUR_MS)
        for at, family in enumerate(self._families):
            if len(family.rows) > _COMPACT_AT:
                self._sessions.recode(at, family.compact(self._sessions.rows.entry[:, at]))

    def _decode(self, batch: RawBatch) -> tuple[Columns, list[Reject]]:
        self._known = self._stores.known()
        columns, rejects = decode(batch, self._known.__contains__)
        if any(reject.reason == "unknown_store" for reject in rejects):
            self._known = self._stores.refresh()
            columns, rejects = decode(batch, self._known.__contains__)
        return columns, rejects

    def _drop_duplicates(self, columns: Columns, hours: I64, outcome: npt.NDArray[np.object_], before: int) -> Bools:
        candidates = np.asarray(outcome == COUNTED.name, dtype=np.bool_)
        keys, at, untold = columns.key[candidates], hours[candidates], columns.occurred_ms[candidates] < 0
        seen = self._pages.seen(keys, at, before)
        if untold.any():
            seen[untold] |= self._pages.seen(keys[untold], at[untold] - 1, before)
        fresh = candidates.copy()
        fresh[candidates] = ~find_duplicates(keys, at, untold, seen)
        outcome[candidates & ~fresh] = DUPLICATE.name
        return fresh

    def _visit(self, columns: Columns, dedupe_hour: I64, times: Times, before: int) -> rows.Facts:
        when = times.occurred_ms
        touched = np.unique(when // HOUR_MS).tolist()
        # Gaps and windows are shorter than an hour: what can touch these events lies in their hours or beside them.
        around = sorted({hour + step for hour in touched for step in (-1, 0, 1)})
        stored = self._pages.load_visits(around, before)
        if stored is not None:
            self._sessions.adopt(stored.coded(self._families, self._store_code))
        pair = mix(columns.visitor, self._memos.targets(columns.events))
        refire = find_refires(pair, when, self._pages.clicked_near(pair, when))
        codes = self._enrich(columns)
        reasons, is_bot = self._find_bots(columns, when, codes)
        outcome = np.where(refire, REFIRE.name, np.where(is_bot > 0, BOT.name, COUNTED.name)).astype(object)
        note = np.where(times.clamped, FUTURE_CLAMPED, np.where(times.corrected, CLOCK_CORRECTED, "")).astype(object)
        version = bots.version(self._agents)
        return rows.Facts(columns, dedupe_hour, when, outcome, pair, is_bot, reasons, version, note, codes)

    def _enrich(self, columns: Columns) -> I32:
        domains = {slug: ",".join(store.domains) for slug, store in self._known.items()}
        codes = [family.encode(inputs_of(family, columns.events, domains)) for family in self._families]
        return np.stack(codes, axis=1)

    def _find_bots(self, columns: Columns, when: I64, codes: I32) -> tuple[list[str], U8]:
        minute = mix(columns.visitor, when // MINUTE_MS)
        earlier = self._pages.events_in_minute(columns.visitor, when) + rank_within(minute)
        hasty = (earlier >= bots.RATE_LIMIT_PER_MINUTE).tolist()
        answers = self._families[self._page_family].rows
        pages = [answers[code][0] for code in codes[:, self._page_family].tolist()]
        reasons = self._memos.bot_reasons(columns.events, pages, hasty)
        return reasons, np.array([1 if text else 0 for text in reasons], dtype=np.uint8)

    def _write(self, result: rows.BatchResult, facts: rows.Facts) -> None:
        partition, last = self._partition, result.last_offset
        result.tables["clicks"] = rows.click_rows(facts, self._families, partition)
        store = np.array([self._store_code(event.store) for event in facts.columns.events], dtype=np.int32)
        names = list(self._store_codes)
        if last > self._sessions_applied:
            events = events_as_sessions(facts, store)
            retracted, added = self._sessions.add(events)
            deltas = rollup(contributions(events, retracted, added), self._families, self._day_of)
            result.tables["rollups"] = rows.rollup_rows(deltas, names, partition, last)
            result.tables["sessions"] = rows.session_rows(retracted, added, names, self._families, partition, last)
        quarters = np.unique(store * np.int64(1 << 32) + facts.occurred_ms // QUARTER_MS).tolist()
        touched = (divmod(packed, 1 << 32) for packed in quarters)
        result.store_days = {(names[code], self._day_of(code, quarter)) for code, quarter in touched}
        result.live = rows.newest_by_visitor(facts)

    def _remember(self, facts: rows.Facts, offset: int) -> None:
        columns = facts.columns
        self._pages.remember_keys(columns.key, facts.dedupe_hour, offset)
        refire = np.asarray(facts.outcome == REFIRE.name, dtype=np.bool_)
        self._pages.remember_visits(columns.visitor, facts.pair, facts.occurred_ms, refire, offset)

    def _store_code(self, slug: str) -> int:
        return self._store_codes.setdefault(slug, len(self._store_codes))

    def _day_of(self, store: int, quarter: int) -> int:
        zone = self._known[list(self._store_codes)[store]].timezone
        day = self._days.get((zone, quarter))
        if day is None:
            if len(self._days) > MAX_MEMO:
                self._days.clear()
            day = int(local_day(quarter * QUARTER_MS, ZoneInfo(zone)).timestamp()) // 86_400
            self._days[zone, quarter] = day
        return day
