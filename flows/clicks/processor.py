"""The click path: one partition's batches in, results out. No engine, no clock, no IO but the page store's.

What follows from a batch depends only on the log before it, on the stores and on the versions of the lookups: not
on where batches were cut, on how many workers there are, or on when it was last restarted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

import numpy as np

from flows.arrays.hashing import mix
from flows.arrays.types import I64, U8, U64, Bools
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.model.columns import Columns
from flows.clicks.model.encoded_column import EncodedColumn
from flows.clicks.model.facts import Details, Facts, outcome_code
from flows.clicks.model.pieces import Pieces
from flows.clicks.output.contributions import events_as_sessions
from flows.clicks.processed_batch import Changes, Moves, ProcessedBatch
from flows.clicks.rejected_record import RejectedRecord
from flows.clicks.state.click_page import HOUR_MS, MINUTE_MS
from flows.clicks.state.page_cache import Pages, PageStore
from flows.clicks.state.session_state import Sessions
from flows.clicks.state.stored_rows import StoredSessions
from flows.clicks.steps import ledger
from flows.clicks.steps.clock import Times, correct
from flows.clicks.steps.decode import decode
from flows.clicks.steps.dedupe import filed_under, find_copies, find_duplicates
from flows.clicks.steps.live_visitors import newest_by_visitor
from flows.clicks.steps.refires import find_refires, rank_within
from flows.delivery.batch import RawBatch
from marketplace.clicks import bots
from marketplace.clicks.outcomes import BLOCKED, BOT, CLOCK_CORRECTED, COUNTED, DUPLICATE, FUTURE_CLAMPED, LATE, REFIRE
from marketplace.stores import Store

DEFAULT_PAGE_BYTES: Final = 64 << 20
"""Pages and open sessions of one partition: about a million events. The flow gives more; see ``memory_limits``."""

_LATE, _BLOCKED, _DUPLICATE, _REFIRE, _BOT, _COUNTED = map(
    outcome_code, (LATE, BLOCKED, DUPLICATE, REFIRE, BOT, COUNTED)
)
_NOTES: Final = ("", CLOCK_CORRECTED, FUTURE_CLAMPED)


class Stores(Protocol):
    """The directory of stores as the flow knows it."""

    def known(self) -> Mapping[str, Store]:
        """All stores, possibly seconds old."""

    def look_up(self, slugs: Collection[str]) -> Mapping[str, Store]:
        """All stores, these ones as they are now.

        Raises:
            Unavailable: The directory is unavailable; the caller pauses and keeps its place.
        """


class PartitionProcessor:
    """The click path of one partition.

    Args:
        partition: The Kafka partition.
        pages: Where the past is read back from.
        stores: The directory of stores.
        encoding: What is known of distinct values; processors that take turns share it.
        applied: Fences of the tables at take-over, by table name. Up to the highest of them the facts are read back.
            Sessions that the table already holds are not made again, because it holds their present and not their past.
        page_bytes: Memory for the past.
    """

    def __init__(
        self,
        partition: int,
        pages: PageStore,
        stores: Stores,
        encoding: EncodingContext,
        applied: Mapping[str, int],
        page_bytes: int = DEFAULT_PAGE_BYTES,
    ) -> None:
        self._partition, self._stores, self._encoding = partition, stores, encoding
        self._sessions_applied = applied.get("sessions", -1)
        # Facts are written first: what any table has of a batch was decided then, and is in the facts.
        self._decided = max(applied.values(), default=-1)
        self._page_store, self._page_bytes = pages, page_bytes
        self._pages = Pages(pages, partition, page_bytes)
        self._encoders = encoding.encoders
        self._sessions = Sessions(len(self._encoders), encoding.page, encoding.of_visits)
        encoding.hold(self._sessions)
        self._store_days = encoding.store_days
        self._known: Mapping[str, Store] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the past takes."""
        return self._pages.nbytes + self._sessions.nbytes

    def process(self, batch: RawBatch) -> ProcessedBatch:
        """Decide every record of a batch; what was decided before the last restart is read back instead.

        Args:
            batch: The records; they lie wholly at or below, or wholly above each fence of ``applied``.

        Raises:
            Unavailable: The page store or the directory of stores is unavailable. Nothing was decided: step again.
        """
        self._forget()
        self._encoding.renew()
        book = self._encoding.book()
        result = ProcessedBatch(self._partition, batch.first_offset, batch.last_offset, len(batch.values), book)
        was_decided = batch.last_offset <= self._decided
        facts = self._read_back(batch, result) if was_decided else self._decide(batch, result)
        # A zone may have changed with the stores that were met; the answers are the same ones.
        result.book = self._encoding.book()
        if len(facts):
            self._add_to_sessions(result, facts)
        self._remember(facts, batch)
        return result

    def _decide(self, batch: RawBatch, result: ProcessedBatch) -> Facts:
        columns, rejects = self._decode(batch)
        times = correct(columns)
        outcome = np.full(len(columns), _COUNTED, dtype=np.uint8)
        outcome[self._encoding.rules.blocked(columns, self._known)] = _BLOCKED
        outcome[times.late] = _LATE
        hours = filed_under(columns)
        fresh = self._drop_duplicates(columns, hours, outcome, batch.first_offset)
        facts, details = self._build_facts(columns.take(fresh), hours[fresh], times.take(fresh), batch.first_offset)
        outcome[fresh] = facts.outcome
        result.rejects = rejects + ledger.too_late(batch, columns, times, outcome)
        result.counts = ledger.count(batch, columns, rejects, times, outcome)
        if len(facts):
            result.facts = facts, details
        return facts

    def _read_back(self, batch: RawBatch, result: ProcessedBatch) -> Facts:
        """What an earlier start decided of a batch, whatever stores, lookups and lists say by now."""
        stored = self._page_store.verdicts(self._partition, batch.first_offset, batch.last_offset)
        rest = without(batch, set(stored.offset.tolist()))
        columns, rejects = self._decode(rest)
        times, hours = correct(columns), filed_under(columns)
        # What has no fact was not accepted then and is not now, or the ledger would count what no other table has. If
        # only a changed setting would let it in, it counts as blocked: either it was, or its store was unknown then and
        # its bytes are dead letters already. To call it invalid would write what a seller blocked to the dead letters.
        outcome = np.full(len(columns), _BLOCKED, dtype=np.uint8)
        outcome[times.late] = _LATE
        asked = ~times.late & ~self._encoding.rules.blocked(columns, self._known)
        copies = find_copies(columns, hours, stored)
        outcome[asked & (copies | self._seen(columns, hours, asked, batch.first_offset))] = _DUPLICATE
        facts = stored.coded(self._encoders)
        self._pages.load_activity(facts.pair, facts.visitor, facts.occurred_ms, batch.first_offset, self._adopt)
        result.rejects = rejects + ledger.too_late(rest, columns, times, outcome)
        result.counts = ledger.count(rest, columns, rejects, times, outcome) + ledger.count_facts(stored)
        return facts

    def _forget(self) -> None:
        if self._pages.evict(lambda: self._sessions.nbytes + self._encoding.held_for(self._sessions)):
            self._sessions.keep(self._pages.activity_hours(), HOUR_MS)
            self._encoding.let_go()
        self._encoding.trim()

    def _decode(self, batch: RawBatch) -> tuple[Columns, list[RejectedRecord]]:
        self._known = self._stores.known()
        dictionaries = self._encoding.dictionaries
        columns, rejects = decode(batch, self._known.__contains__, dictionaries)
        unknown = {reject.store for reject in rejects if reject.reason == "unknown_store"}
        if unknown:
            self._known = self._stores.look_up(unknown)
            if not unknown.isdisjoint(self._known):
                columns, rejects = decode(batch, self._known.__contains__, dictionaries)
        self._encoding.learn(self._known)
        return columns, rejects

    def _drop_duplicates(self, columns: Columns, hours: I64, outcome: U8, before: int) -> Bools:
        candidates = np.asarray(outcome == _COUNTED, dtype=np.bool_)
        seen = self._seen(columns, hours, candidates, before)[candidates]
        untimed = columns.occurred_ms[candidates] < 0
        fresh = candidates.copy()
        fresh[candidates] = ~find_duplicates(columns.key[candidates], hours[candidates], untimed, seen)
        outcome[candidates & ~fresh] = _DUPLICATE
        return fresh

    def _seen(self, columns: Columns, hours: I64, asked: Bools, before: int) -> Bools:
        """Which of the events that are asked for repeat an accepted one of an earlier batch."""
        keys, at, untimed = columns.key[asked], hours[asked], columns.occurred_ms[asked] < 0
        seen = self._pages.seen(keys, at, before)
        if untimed.any():
            seen[untimed] |= self._pages.seen(keys[untimed], at[untimed] - 1, before)
        found = np.zeros(len(columns), dtype=np.bool_)
        found[asked] = seen
        return found

    def _adopt(self, stored: StoredSessions) -> None:
        self._sessions.adopt(stored.coded(self._encoders, self._store_days.code))

    def _build_facts(self, columns: Columns, dedupe_hour: I64, times: Times, before: int) -> tuple[Facts, Details]:
        when = times.occurred_ms
        pair = mix(columns.visitor, self._encoding.rules.targets(columns))
        self._pages.load_activity(pair, columns.visitor, when, before, self._adopt)
        refire = find_refires(pair, when, self._pages.clicked_near(pair, when))
        codes = self._encoding.enrich(columns, self._known)
        hasty = self._is_hasty(columns.visitor, when)
        reasons, kinds, is_bot = self._encoding.rules.bots(columns, self._encoding.pages(codes), hasty)
        facts = Facts(
            stores=columns.texts["store"],
            imported=columns.imported,
            key=columns.key,
            dedupe_hour=dedupe_hour,
            visitor=columns.visitor,
            pair=pair,
            received_ms=columns.received_ms,
            occurred_ms=when,
            outcome=np.where(refire, _REFIRE, np.where(is_bot > 0, _BOT, _COUNTED)).astype(np.uint8),
            is_bot=is_bot,
            is_view=columns.is_view,
            codes=codes,
        )
        note = np.where(times.clamped, 2, np.where(times.corrected, 1, 0)).astype(np.int32)
        return facts, Details(columns, reasons, kinds, EncodedColumn(note, _NOTES))

    def _is_hasty(self, visitor: U64, when: I64) -> Bools:
        earlier = self._pages.events_in_minute(visitor, when) + rank_within(mix(visitor, when // MINUTE_MS))
        return np.asarray(earlier >= bots.RATE_LIMIT_PER_MINUTE, dtype=np.bool_)

    def _add_to_sessions(self, result: ProcessedBatch, facts: Facts) -> None:
        store, when = self._store_days.codes(facts.stores), facts.occurred_ms
        if result.last_offset > self._sessions_applied:
            events = events_as_sessions(facts, store, self._encoding.page)
            merged = self._sessions.merge(events)
            begun = merged.retracted.take(merged.moved)
            pieces = self._pages.pieces(begun, result.first_offset) if len(begun) else Pieces.none()
            # From here on nothing asks the outside, so nothing can fail half-way: the batch becomes the past.
            self._sessions.apply(merged)
            moves = Moves.of(begun, pieces, merged.moved_entry)
            result.changes = Changes(events, merged.entry, merged.retracted, merged.added, moves)
            moved = (merged.retracted, merged.added, moves)
            result.store_days = self._store_days.days(
                np.concatenate([store, *(rows.store for rows in moved)]),
                np.concatenate([when, *(rows.start_ms for rows in moved)]),
            )
        else:
            result.store_days = self._store_days.days(store, when)
        result.live = newest_by_visitor(facts, store, self._store_days.names)

    def _remember(self, facts: Facts, batch: RawBatch) -> None:
        first, last = batch.first_offset, batch.last_offset
        self._pages.remember_keys(facts.key, facts.dedupe_hour, first, last)
        self._pages.remember_activity(facts, first, last)


def without(batch: RawBatch, offsets: set[int]) -> RawBatch:
    """The records of a batch whose offsets are not among the given ones, without their headers."""
    rows = [row for row, offset in enumerate(batch.offsets) if offset not in offsets]
    return RawBatch(
        batch.partition,
        [batch.offsets[row] for row in rows],
        [batch.timestamps_ms[row] for row in rows],
        [batch.values[row] for row in rows],
        topic=batch.topic,
    )
