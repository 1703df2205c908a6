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
from marketplace.rollups import DIMENSIONS, SPARSE
from marketplace.stores import Store
from marketplace.tables import CLICK_TABLES, TABLES
from ops.oracle import Expected, Fact, LogRecord
from ops.oracle.counting import visits
from tests.kits.clicks import (
    CHROME,
    GOOGLEBOT,
    SAFARI,
    STORES,
    as_bytes,
    by_partition,
    cut,
    event,
    machine_on,
    oracle,
    visitor_of,
)
from tests.kits.clicks_logs import ANCHORS
from tests.kits.clicks_pages import MemoryPages

SEED: Final = 20251122
SPLITS: Final = tuple(d.name for d in DIMENSIONS)
FILTERABLE: Final = tuple(d.name for d in DIMENSIONS if d.column is not None)
BOTS: Final = ("exclude", "include", "only")

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
_AGENTS: Final = (CHROME, CHROME, SAFARI, GOOGLEBOT, "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16")
_NETWORKS: Final = ("", "81.2.69.0", "2001:db8::", "175.16.199.0", "89.160.20.0")
_TARGETS: Final = ("", "add-to-cart", "it's {target:String}")
_GAPS_MS: Final = (0, 700, 1_999, 2_000, 40_000, 400_000, 1_799_999, 1_800_001, 7_200_000)
_PARTITIONS: Final = 3

Bucket = datetime | date | tuple[int, int] | None
Answer = dict[tuple[Bucket, str], Numbers]


def known_log(seed: int, people: int = 50) -> list[LogRecord]:
    """A log around every change of clocks and calendars: each visitor comes once or a few times."""
    chance = random.Random(seed)
    values: list[tuple[int, bytes]] = []
    for anchor in ANCHORS:
        for number in range(people):
            values += _visitor(chance, anchor + chance.randrange(-8, 8) * 3_600_000, number)
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
        kind = chance.choice(("view", "click"))
        fields = event(
            when, **fixed, url=url, referrer=chance.choice(_REFERRERS), product=chance.choice(("", "p1", "p2")),
            type=kind, target=chance.choice(_TARGETS) if kind == "click" else "",
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
        for batch in cut(records, (400, 90)):
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


@dataclass(frozen=True)
class Visit:
    """A visit as the oracle sees it."""

    entry: Fact
    start_ms: int
    end_ms: int
    clicks: int


class Known:
    """Facts and visits of a log by the oracle, and every question about them answered by counting."""

    def __init__(self, log: Sequence[LogRecord], stores: Mapping[str, Store] = STORES) -> None:
        self.expected: Expected = oracle(log, stores)
        self.facts = self.expected.facts
        parts: dict[int, list[Fact]] = defaultdict(list)
        for fact in self.facts:
            parts[fact.partition].append(fact)
        self.visits = [
            Visit(visit.entry, visit.start_ms, visit.end_ms, visit.clicks)
            for part in parts.values()
            for visit in visits(part)
        ]

    def values(self, store: str, dimension: str) -> list[str]:
        """All values of a dimension in a store, those of bots too."""
        found = {value_of(fact, dimension) for fact in self.facts if fact.store == store}
        return sorted(found - ({""} if dimension in SPARSE else set()))

    def answer(self, scope: Scope, grain: str, split: str) -> Answer:
        """What ``report`` should answer; no grain is the whole range in one, ``weekhour`` the heat map."""
        cells: dict[tuple[Bucket, str], _Cell] = defaultdict(_Cell)
        since, until = scope.quarters()

        def cell(fact: Fact, when_ms: int) -> _Cell | None:
            at = datetime.fromtimestamp(when_ms / 1000, UTC)
            inside = (since is None or at >= since) and (until is None or at < until)
            value = value_of(fact, split)
            if not inside or not selected(fact, scope) or (split in SPARSE and value == ""):
                return None
            return cells[bucket_of(at, grain, scope), value]

        for fact in self.facts:
            found = cell(fact, fact.occurred_ms)
            if found is not None:
                found.sums["refires" if fact.is_refire else "clicks"] += 1
                found.visitors.add(fact.visitor)
        for visit in self.visits:
            found = cell(visit.entry, visit.start_ms)
            if found is not None:
                found.sums["sessions"] += 1
                found.sums["bounces"] += visit.clicks <= 1
                found.sums["duration_ms"] += visit.end_ms - visit.start_ms
        return {key: Numbers(visitors=len(found.visitors), **found.sums) for key, found in cells.items()}


def selected(fact: Fact, scope: Scope) -> bool:
    """Whether an event is one that the question is about, whenever it was."""
    bots = {"exclude": (0,), "only": (1,), "include": (0, 1)}[scope.bots]
    return (
        fact.store == scope.store
        and fact.is_bot in bots
        and all(value_of(fact, name) == value for name, value in scope.filters)
    )


def value_of(fact: Fact, dimension: str) -> str:
    """What an event counts under."""
    return "" if dimension == "all" else fact.columns[dimension]


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
