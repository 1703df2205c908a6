"""From facts to numbers: sessions, buckets of the store's own calendar, and exact sets of visitors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from marketplace.rollups import DIMENSIONS, SPARSE
from marketplace.stores import Store
from ops.oracle.expected import Fact, Numbers, RollupKey

_SESSION_GAP_MS = 30 * 60_000
_QUARTER_MS = 15 * 60_000

Bucket = tuple[str, datetime]
"""A grain and the bucket's name."""

CellKey = tuple[str, str, datetime, str, str]
"""Store, grain, bucket, dimension, value."""


@dataclass
class _Cell:
    """The numbers of one bucket for one kind of visitor (people or bots)."""

    views: int = 0
    actions: int = 0
    refires: int = 0
    sessions: int = 0
    bounces: int = 0
    duration_ms: int = 0
    visitors: set[str] = field(default_factory=set)


def count(partitions: list[list[Fact]], stores: Mapping[str, Store]) -> dict[RollupKey, Numbers]:
    """All rollups of all partitions; each list holds one partition's facts in order of arrival."""
    calendar = _Calendar(stores)
    cells: dict[CellKey, tuple[_Cell, _Cell]] = defaultdict(lambda: (_Cell(), _Cell()))
    for facts in partitions:
        for visit in visits(facts):
            for fact in visit.events:
                for key in _keys(_values_of_event(fact, visit), fact.store, fact.occurred_ms, calendar):
                    cell = cells[key][fact.is_bot]
                    cell.visitors.add(fact.visitor)
                    if fact.is_refire:
                        cell.refires += 1
                    elif fact.is_view:
                        cell.views += 1
                    else:
                        cell.actions += 1
            for key in _keys(_values_of_visit(visit), visit.entry.store, visit.start_ms, calendar):
                cell = cells[key][visit.entry.is_bot]
                cell.sessions += 1
                cell.bounces += 1 if visit.is_bounce else 0
                cell.duration_ms += visit.end_ms - visit.start_ms
    return dict(_by_bots(cells))


def _by_bots(cells: Mapping[CellKey, tuple[_Cell, _Cell]]) -> Iterator[tuple[RollupKey, Numbers]]:
    for key, (people, automated) in cells.items():
        for bots, chosen in (("exclude", (people,)), ("only", (automated,)), ("include", (people, automated))):
            visitors: set[str] = set().union(*(cell.visitors for cell in chosen))
            if visitors or any(cell.sessions for cell in chosen):
                numbers = Numbers(
                    views=sum(cell.views for cell in chosen),
                    actions=sum(cell.actions for cell in chosen),
                    refires=sum(cell.refires for cell in chosen),
                    visitors=len(visitors),
                    sessions=sum(cell.sessions for cell in chosen),
                    bounces=sum(cell.bounces for cell in chosen),
                    duration_ms=sum(cell.duration_ms for cell in chosen),
                )
                yield RollupKey(*key, bots), numbers


def _values_of_event(fact: Fact, visit: Visit) -> Iterator[tuple[str, str]]:
    """The dimensions that an event is counted in, with their values: its own, or those of the visit's first event."""
    for dimension in DIMENSIONS:
        if dimension.scope == "exit":
            continue
        whose = visit.entry if dimension.scope == "visit" else fact
        yield dimension.name, "" if dimension.column is None else whose.columns[dimension.column]


def _values_of_visit(visit: Visit) -> Iterator[tuple[str, str]]:
    """The dimensions that a session is counted in, with their values: of its first event, or of its last."""
    for dimension in DIMENSIONS:
        whose = visit.exit if dimension.scope == "exit" else visit.entry
        if dimension.name not in ("target", "event", "bot_kind"):
            yield dimension.name, "" if dimension.column is None else whose.columns[dimension.column]


def _keys(values: Iterable[tuple[str, str]], store: str, when_ms: int, calendar: _Calendar) -> Iterator[CellKey]:
    buckets = calendar.buckets(store, when_ms)
    for dimension, value in values:
        if value == "" and dimension in SPARSE:
            continue
        for grain, bucket in buckets:
            yield store, grain, bucket, dimension, value


class _Calendar:
    """Buckets by the stores' own clocks and calendars."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._zones = {slug: ZoneInfo(store.timezone) for slug, store in stores.items()}
        self._known: dict[tuple[str, int], tuple[Bucket, ...]] = {}

    def buckets(self, store: str, when_ms: int) -> tuple[Bucket, ...]:
        """The hour, day and month of a time; cached by quarter of an hour, within which no zone changes its offset."""
        quarter = when_ms // _QUARTER_MS
        if (store, quarter) not in self._known:
            local = datetime.fromtimestamp(quarter * _QUARTER_MS // 1000, UTC).astimezone(self._zones[store])
            # The start of the hour keeps its UTC offset: when clocks go back, the repeated hour is two buckets.
            offset = local.utcoffset()
            assert offset is not None
            hour = datetime(local.year, local.month, local.day, local.hour, tzinfo=UTC) - offset
            day = datetime(local.year, local.month, local.day, tzinfo=UTC)
            month = datetime(local.year, local.month, 1, tzinfo=UTC)
            self._known[store, quarter] = (("hour", hour), ("day", day), ("month", month))
        return self._known[store, quarter]


@dataclass
class Visit:
    """A session: events of one visitor with no gap of more than 30 minutes, in their order; none is empty."""

    events: list[Fact]

    @property
    def entry(self) -> Fact:
        """The first event."""
        return self.events[0]

    @property
    def exit(self) -> Fact:
        """The last one."""
        return self.events[-1]

    @property
    def start_ms(self) -> int:
        """When it began."""
        return self.entry.occurred_ms

    @property
    def end_ms(self) -> int:
        """When it ended."""
        return self.exit.occurred_ms

    @property
    def views(self) -> int:
        """Page views that are no re-fires."""
        return sum(1 for fact in self.events if fact.is_view and not fact.is_refire)

    @property
    def actions(self) -> int:
        """Other events that are no re-fires."""
        return sum(1 for fact in self.events if not fact.is_view and not fact.is_refire)

    @property
    def is_bounce(self) -> bool:
        """Whether one page was seen and nothing done."""
        return self.views <= 1 and self.actions == 0


def visits(facts: list[Fact]) -> list[Visit]:
    """All sessions of one partition; a session has events of people or of bots, never both."""
    of_visitor: dict[tuple[str, int], list[Fact]] = defaultdict(list)
    for fact in facts:
        of_visitor[fact.visitor, fact.is_bot].append(fact)
    found: list[Visit] = []
    for events in of_visitor.values():
        current: Visit | None = None
        # Sorting keeps the order of arrival among equal times.
        for fact in sorted(events, key=lambda event: event.occurred_ms):
            if current is None or fact.occurred_ms - current.end_ms > _SESSION_GAP_MS:
                current = Visit([])
                found.append(current)
            current.events.append(fact)
    return found
