"""What tests of the query layer share: known clicks in real tables, and their numbers counted in plain Python."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.insert_shape import structure_of
from connectors.insights import Insights, Numbers, Row, Scope
from flows.clicks.output.arrow_rows import rows_of
from marketplace.rollups import DIMENSIONS, SPARSE, STORED
from marketplace.stores import Store
from marketplace.tables import CLICK_TABLES, TABLES
from ops.oracle import Expected, Fact, LogRecord, expect
from ops.oracle.counting import Visit, visits
from tests.kits.clicks import (
    AGENTS,
    CHROME,
    GOOGLEBOT,
    LOOKUPS,
    SAFARI,
    STORES,
    as_bytes,
    by_partition,
    cut,
    event,
    machine_on,
    visitor_of,
)
from tests.kits.clicks_logs import ANCHORS
from tests.kits.clicks_pages import MemoryPages

SEED: Final = 11
SPLITS: Final = tuple(d.name for d in DIMENSIONS)
FILTERABLE: Final = tuple(d.name for d in DIMENSIONS if d.column is not None)
STORED_FILTERS: Final = tuple(d.name for d in STORED if d.column is not None)
BOTS: Final = ("exclude", "include", "only")
OF_VISITS: Final = ("source", "medium", "campaign", "channel", "referrer", "entry_page")
_COLUMN: Final = {d.name: d.column for d in DIMENSIONS}

NASTY: Final = (
    "/it's",
    "/a%5Cb",
    '/"quoted"',
    "/{store:String}",
    "/'%20OR%201=1%20--%20",
    "/%25s%25(x)s",
    "/%E2%98%83",
)
"""Pages that a query must take as values and nothing else."""

_PAGES: Final = ("/", "/wool", "/wool", "/felt", *NASTY)
_QUERIES: Final = ("", "", "?utm_source=mail&utm_campaign=spring", "?utm_source=mail&utm_medium=email", "?gclid=x")
_REFERRERS: Final = ("", "https://www.google.com/", "https://news.example/x", "https://alpha.example/")
_OPERA: Final = "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16"
_AGENTS: Final = (CHROME, "kube-probe/1.29", SAFARI, GOOGLEBOT, _OPERA)
_NETWORKS: Final = ("", "81.2.69.0", "2001:db8::", "175.16.199.0", "89.160.20.0")
_TARGETS: Final = ("", "add-to-cart", "it's {target:String}")
_NAMES: Final = ("add_to_cart", "it's")
_GAPS_MS: Final = (0, 700, 1_999, 2_000, 40_000, 400_000, 1_799_999, 1_800_001, 7_200_000)
_PARTITIONS: Final = 3

Bucket = datetime | date | tuple[int, int] | None
Answer = dict[tuple[Bucket, str], Numbers]


def known_log(seed: int, people: int = 50) -> list[LogRecord]:
    """A log around every change of clocks and calendars: each visitor comes once or a few times."""
    chance = random.Random(seed)
    values: list[tuple[int, bytes]] = []
    for anchor in ANCHORS:
        late: list[tuple[int, bytes]] = []
        for number in range(people):
            sent = list(_visitor(chance, anchor + chance.randrange(-8, 8) * 3_600_000, number))
            if chance.random() < 0.3:
                # What comes late moves the beginning of visits, and joins them.
                chance.shuffle(sent)
                late += sent[: len(sent) // 2]
                sent = sent[len(sent) // 2 :]
            values += sent
        values += late
    offsets = [0] * _PARTITIONS
    log = []
    for partition, value in values:
        log.append(LogRecord(partition, offsets[partition], ANCHORS[0], value))
        offsets[partition] += 1
    return log


def _visitor(chance: random.Random, when: int, number: int) -> Iterator[tuple[int, bytes]]:
    store = chance.choice(sorted(STORES))
    fixed: dict[str, Any] = {
        "store": store,
        "visitor": visitor_of(store, number),
        "ip": chance.choice(_NETWORKS),
        "user_agent": chance.choice(_AGENTS),
    }
    for _ in range(chance.choice((1, 1, 2, 4, 9))):
        when += chance.choice(_GAPS_MS)
        url = f"https://{store}.example{chance.choice(_PAGES)}{chance.choice(_QUERIES)}"
        kind = chance.choice(("view", "view", "click", "event"))
        fields = event(
            when, **fixed, url=url, referrer=chance.choice(_REFERRERS), product=chance.choice(("", "p1", "p2")),
            type=kind, target=chance.choice(_TARGETS) if kind == "click" else _TARGETS[1] if kind == "event" else "",
            name=chance.choice(_NAMES) if kind == "event" else "",
            properties=chance.choice((None, {"size": "M"}, {"size": "L"})) if kind == "event" else None,
            event_id=f"{chance.getrandbits(64):x}",
        )  # fmt: skip
        yield int(fields["visitor"], 16) % _PARTITIONS, as_bytes(fields)
        luck = chance.random()
        if luck < 0.05:
            yield int(fields["visitor"], 16) % _PARTITIONS, as_bytes({**fields, "received_at_ms": when + 700})
        elif luck < 0.15:
            again = {name: value for name, value in fields.items() if name not in ("key", "occurred_at_ms")}
            again |= {"event_id": fields["event_id"] + "+", "received_at_ms": when + 700}
            yield int(fields["visitor"], 16) % _PARTITIONS, as_bytes(event(when + 700, **again))


@contextmanager
def empty_tables(url: str) -> Iterator[ClickHouse]:
    """The tables in a database of their own, for the time being."""
    clickhouse = ClickHouse(url, f"insights_{uuid.uuid4().hex}")
    clickhouse.command(f"CREATE DATABASE {clickhouse.database}")
    for table in TABLES:
        clickhouse.command(table.create(clickhouse.database))
    try:
        yield clickhouse
    finally:
        clickhouse.command(f"DROP DATABASE {clickhouse.database}")
        clickhouse.close()


def fill(clickhouse: ClickHouse, log: Iterable[LogRecord], stores: Mapping[str, Store] = STORES) -> None:
    """Write what the flow's machine makes of a log, in a few batches, as the flow would."""
    for partition, records in by_partition(log).items():
        pages = MemoryPages()
        machine = machine_on(pages, partition, stores)
        for batch in cut(records, (100, 40)):
            result = machine.process(batch)
            pages.write([result])
            for table in CLICK_TABLES:
                if result.fence(table.name) is not None:
                    rows = rows_of(table.name, [result])
                    clickhouse.insert_where(table.name, structure_of(table), rows, "1", uuid.uuid4().hex)


@dataclass
class _Cell:
    sums: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    visitors: set[str] = field(default_factory=set)


class Known:
    """Facts and visits of a log by the oracle, and every question about them answered by counting."""

    def __init__(self, log: Sequence[LogRecord], stores: Mapping[str, Store] = STORES) -> None:
        self.expected: Expected = expect(log, stores, LOOKUPS, AGENTS)
        self.facts = self.expected.facts
        parts: dict[int, list[Fact]] = defaultdict(list)
        for fact in self.facts:
            parts[fact.partition].append(fact)
        self.visits = [visit for part in parts.values() for visit in visits(part)]
        self.events = [(fact, visit) for visit in self.visits for fact in visit.events]

    def values(self, store: str, dimension: str) -> list[str]:
        """All values of a dimension in a store, those of bots too."""
        found = {of_event(fact, visit, dimension) for fact, visit in self.events if fact.store == store}
        found |= {of_visit(visit, dimension) for visit in self.visits if visit.entry.store == store}
        return sorted(value for value in found if value is not None and not (value == "" and dimension in SPARSE))

    def answer(self, scope: Scope, grain: str, split: str) -> Answer:
        """What ``report`` should answer; no grain is the whole range in one, ``weekhour`` the heat map."""
        cells: dict[tuple[Bucket, str], _Cell] = defaultdict(_Cell)
        since, until = scope.quarters()

        def cell(value: str | None, when_ms: int) -> _Cell | None:
            at = datetime.fromtimestamp(when_ms / 1000, UTC)
            inside = (since is None or at >= since) and (until is None or at < until)
            if not inside or value is None or (split in SPARSE and value == ""):
                return None
            return cells[bucket_of(at, grain, scope), value]

        for fact, visit in self.events:
            found = cell(of_event(fact, visit, split), fact.occurred_ms) if selected(fact, visit, scope) else None
            if found is not None:
                found.sums["refires" if fact.is_refire else "views" if fact.is_view else "actions"] += 1
                found.visitors.add(fact.visitor)
        for visit in self.visits:
            found = cell(of_visit(visit, split), visit.start_ms) if selected_visit(visit, scope) else None
            if found is not None:
                found.sums["sessions"] += 1
                found.sums["bounces"] += visit.is_bounce
                found.sums["duration_ms"] += visit.end_ms - visit.start_ms
        return {key: Numbers(visitors=len(found.visitors), **found.sums) for key, found in cells.items()}


def _counts(fact: Fact, scope: Scope) -> bool:
    bots = {"exclude": (0,), "only": (1,), "include": (0, 1)}[scope.bots]
    return fact.store == scope.store and fact.is_bot in bots


def selected(fact: Fact, visit: Visit, scope: Scope) -> bool:
    """Whether an event is one that the question is about, whenever it was."""
    return _counts(fact, scope) and all(
        (value_of(visit.exit, name) if name == "exit_page" else of_event(fact, visit, name)) == value
        for name, value in scope.filters
    )


def selected_visit(visit: Visit, scope: Scope) -> bool:
    """Whether a visit is one that the question is about, whenever it was."""
    return _counts(visit.entry, scope) and all(of_visit(visit, name) == value for name, value in scope.filters)


def value_of(fact: Fact, dimension: str) -> str:
    """The event's own value."""
    column = _COLUMN[dimension]
    return "" if column is None else fact.columns[column]


def of_event(fact: Fact, visit: Visit, dimension: str) -> str | None:
    """What an event counts under: its own value, or that of the event that began its visit; None for nothing."""
    if dimension == "exit_page":
        return None
    return value_of(visit.entry if dimension in OF_VISITS else fact, dimension)


def of_visit(visit: Visit, dimension: str) -> str | None:
    """What a visit counts under: the value of its first event, or of its last; None for nothing."""
    if dimension in ("target", "event", "bot_kind"):
        return None
    return value_of(visit.exit if dimension == "exit_page" else visit.entry, dimension)


def bucket_of(at: datetime, grain: str, scope: Scope) -> Bucket:
    """The bucket that an instant lies in, by the store's clock."""
    local = at.astimezone(scope.zone)
    first_of_month = local.date().replace(day=1)
    beyond = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    choices: dict[str, Callable[[], Bucket]] = {
        "": lambda: None,
        "hour": lambda: at - beyond,
        "day": local.date,
        "month": lambda: first_of_month,
        "weekhour": lambda: (local.isoweekday(), local.hour),
    }
    return choices[grain]()


def as_answer(rows: Iterable[Row]) -> Answer:
    """Rows by bucket and value; a bucket and value that stands twice is an error."""
    found: Answer = {}
    for row in rows:
        assert (row.bucket, row.value) not in found, f"{row.bucket} {row.value!r} stands twice"
        found[row.bucket, row.value] = row.numbers
    return found


@dataclass
class World:
    """Known clicks in tables, and who answers questions about them."""

    clickhouse: ClickHouse
    insights: Insights
    known: Known


def scope_of(store: str, **more: Any) -> Scope:
    """A question about a store, on its own clock."""
    return Scope(store, ZoneInfo(STORES[store].timezone), **more)


ALL_SCOPES: Final = [scope_of(store, bots=bots) for store in sorted(STORES) for bots in BOTS]
"""Every store, with every choice of who counts."""
