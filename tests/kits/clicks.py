"""What tests of the click path share: events and their bytes, stores, and a driver of the machine."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import zip_longest
from typing import Any, Final, TypeVar

from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.encoding.dictionary import make_dictionaries
from flows.clicks.model.columns import Columns
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.processor import DEFAULT_PAGE_BYTES, PartitionProcessor
from flows.clicks.rejected_record import RejectedRecord
from flows.clicks.steps.decode import decode
from flows.delivery.batch import RawBatch
from marketplace.enrichments import Lookups
from marketplace.rollups import STORED
from marketplace.stores import Store, hash_write_key
from marketplace.tables import CLICK_TABLES
from ops.oracle import Expected, LogRecord, Numbers, RollupKey, expect
from tests.kits.clicks_pages import MemoryPages

CHROME: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
SAFARI: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.0 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

LOOKUPS: Final = Lookups(places=GeoIP().snapshot(), agents=UserAgents())
AGENTS: Final = CrawlerList()

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

TRANSPORT_FIELDS: Final = frozenset({"key", "received_at_ms", "sent_at_ms", "visitor"})


def make_store(slug: str, timezone: str = "UTC", **more: Any) -> Store:
    """A store with a domain of its own."""
    return Store(slug, slug.title(), timezone, (f"{slug}.example",), hash_write_key(slug), "0" * 64, **more)


STORES: Final[dict[str, Store]] = {
    store.slug: store
    for store in (
        make_store("alpha", "America/New_York", blocked_networks=("203.0.113.0/24",)),
        make_store("beta", "Asia/Kathmandu"),
        make_store(
            "gamma",
            "Australia/Lord_Howe",
            honour_opt_out=False,
            payment_hosts=("blog.example",),
            ignored_referrers=("news.example",),
            trailing_slash="strip",
            page_case="lower",
        ),
    )
}


@dataclass
class FixedStores:
    """A directory that holds what it was given; ``hidden`` ones are known only after they were looked up."""

    stores: Mapping[str, Store]
    hidden: frozenset[str] = frozenset()
    looked_up: list[set[str]] = field(default_factory=list)

    def known(self) -> Mapping[str, Store]:
        return {slug: store for slug, store in self.stores.items() if slug not in self.hidden}

    def look_up(self, slugs: Collection[str]) -> Mapping[str, Store]:
        self.looked_up.append(set(slugs))
        self.hidden -= frozenset(slugs)
        return self.known()


def ms(text: str) -> int:
    """Epoch milliseconds of an ISO time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def visitor_of(store: str, number: int) -> str:
    """A visitor's id; stores never share one."""
    return blake2b(f"{store}/{number}".encode(), digest_size=8).hexdigest()


def key_of(fields: Mapping[str, Any]) -> str:
    """The key of an event: equal for copies, which differ in transport fields at most."""
    payload = {name: value for name, value in fields.items() if name not in TRANSPORT_FIELDS}
    return blake2b(json.dumps(payload, sort_keys=True).encode(), digest_size=8).hexdigest()


def event(occurred_at_ms: int | None = None, **fields: Any) -> dict[str, Any]:
    """The fields of a readable event of store ``alpha``, received when it happened unless said otherwise."""
    whole: dict[str, Any] = {
        "event_id": "e",
        "store": "alpha",
        "received_at_ms": ms("2025-03-12T10:00:00") if occurred_at_ms is None else occurred_at_ms,
        "user_agent": CHROME,
        "url": "https://alpha.example/",
        **fields,
    }
    if occurred_at_ms is not None:
        whole["occurred_at_ms"] = occurred_at_ms
    whole.setdefault("visitor", visitor_of(whole["store"], 1))
    return {**whole, "key": fields.get("key", key_of(whole))}


def as_bytes(fields: Mapping[str, Any]) -> bytes:
    """The record's value."""
    return json.dumps(fields, ensure_ascii=False).encode()


def as_log(values: Iterable[bytes | Mapping[str, Any]], partition: int = 0, timestamp_ms: int = 0) -> list[LogRecord]:
    """Records of one partition, offsets from 0."""
    return [
        LogRecord(partition, offset, timestamp_ms, value if isinstance(value, bytes) else as_bytes(value))
        for offset, value in enumerate(values)
    ]


def oracle(log: Iterable[LogRecord], stores: Mapping[str, Store] = STORES) -> Expected:
    """What the oracle makes of a log, in the dimensions that tables hold."""
    expected = expect(log, stores, LOOKUPS, AGENTS)
    expected.rollups = stored(expected.rollups)
    return expected


def stored(numbers: Mapping[RollupKey, Numbers]) -> dict[RollupKey, Numbers]:
    """The numbers of the dimensions that tables hold."""
    names = {dimension.name for dimension in STORED}
    return {key: found for key, found in numbers.items() if key.dimension in names}


def differences(expected: Mapping[_Key, _Value], actual: Mapping[_Key, _Value]) -> dict[_Key, tuple[object, object]]:
    """Where two tables of numbers are not the same: what was expected and what is there."""
    keys = expected.keys() | actual.keys()
    return {key: (expected.get(key), actual.get(key)) for key in keys if expected.get(key) != actual.get(key)}


def expected_ledger(expected: Expected) -> dict[tuple[str, int, str, str], int]:
    """The rows of the ledger as the oracle has them: by store, hour, kind and name."""
    ledger = {(store, hour, "received", "received"): events for (store, hour), events in expected.received.items()}
    ledger |= {(store, hour, "outcome", name): events for (store, hour, name), events in expected.ledger.items()}
    return ledger | {(store, hour, "note", name): events for (store, hour, name), events in expected.notes.items()}


def by_partition(log: Iterable[LogRecord]) -> dict[int, list[LogRecord]]:
    """The log's records by partition, in their order."""
    parts: dict[int, list[LogRecord]] = defaultdict(list)
    for record in log:
        parts[record.partition].append(record)
    return dict(parts)


def in_turn(parts: Iterable[Sequence[RawBatch]]) -> list[RawBatch]:
    """The first batch of each partition, then the second ones, and so on."""
    return [batch for turn in zip_longest(*parts) for batch in turn if batch is not None]


def cut(records: Sequence[LogRecord], sizes: Sequence[int], fences: Iterable[int] = ()) -> list[RawBatch]:
    """One partition's records in batches of the given sizes, over and over; none reaches over a fence."""
    batches: list[RawBatch] = []
    marks = sorted(fences)
    start = 0
    while start < len(records):
        taken = records[start : start + sizes[len(batches) % len(sizes)]]
        fence = next((mark for mark in marks if mark >= taken[0].offset), None)
        if fence is not None:
            taken = [record for record in taken if record.offset <= fence]
        batches.append(as_batch(taken))
        start += len(taken)
    return batches


def as_batch(records: Sequence[LogRecord]) -> RawBatch:
    """Records of one partition as the source hands them on."""
    return RawBatch(
        records[0].partition,
        [record.offset for record in records],
        [record.timestamp_ms for record in records],
        [record.value for record in records],
    )


def read_values(
    values: Iterable[bytes | Mapping[str, Any]], partition: int = 0
) -> tuple[Columns, list[RejectedRecord]]:
    """Records as the flow reads them."""
    return decode(as_batch(as_log(values, partition)), STORES.__contains__, make_dictionaries())


def encoding_of(bytes_like_pages: int = DEFAULT_PAGE_BYTES) -> EncodingContext:
    """What a worker knows; where pages have no room it has none either, and forgets between any two batches."""
    return EncodingContext(lambda: LOOKUPS, AGENTS, 4 * bytes_like_pages)


def machine_on(
    pages: MemoryPages,
    partition: int = 0,
    stores: Mapping[str, Store] = STORES,
    page_bytes: int = DEFAULT_PAGE_BYTES,
    encoding: EncodingContext | None = None,
) -> PartitionProcessor:
    """A machine that takes a partition over where its tables end."""
    known = encoding or encoding_of(page_bytes)
    return PartitionProcessor(partition, pages, FixedStores(stores), known, pages.fences(partition), page_bytes)


@dataclass
class Run:
    """What a run left behind."""

    pages: MemoryPages
    results: list[ProcessedBatch]

    @property
    def rejects(self) -> list[RejectedRecord]:
        """All dead letters, in order."""
        return [reject for result in self.results for reject in result.rejects]


def run(
    log: Sequence[LogRecord],
    sizes: Sequence[int] = (50,),
    stores: Mapping[str, Store] = STORES,
    page_bytes: int = DEFAULT_PAGE_BYTES,
    epoch: int = 1,
) -> Run:
    """Send a log through fresh machines, cut into batches of all partitions in turn; ``epoch`` are written together."""
    pages, results = MemoryPages(), []
    encoding = encoding_of(page_bytes)
    machines = {part: machine_on(pages, part, stores, page_bytes, encoding) for part in by_partition(log)}
    batches = in_turn([cut(records, sizes) for records in by_partition(log).values()])
    for start in range(0, len(batches), epoch):
        together = [machines[batch.partition].process(batch) for batch in batches[start : start + epoch]]
        pages.write(together)
        results += together
    return Run(pages, results)


def run_with_crashes(
    log: Sequence[LogRecord],
    sizes: Sequence[int],
    crashes: Sequence[int],
    epoch: int = 1,
    page_bytes: int = DEFAULT_PAGE_BYTES,
) -> MemoryPages:
    """Send a log through the machines of a worker that crashes, batches of all partitions in turn.

    Args:
        log: The records.
        sizes: Batch sizes, over and over.
        crashes: For each epoch, how many tables were written before the process died; all of them means it lived.
            After the last one nothing crashes any more.
        epoch: Batches that are written together.
        page_bytes: Memory for the past.
    """
    parts, pages, script = by_partition(log), MemoryPages(), list(crashes)
    while True:
        encoding = encoding_of(page_bytes)
        machines = {part: machine_on(pages, part, STORES, page_bytes, encoding) for part in parts}
        left = []
        for part, records in parts.items():
            fences = pages.fences(part)
            rest = [record for record in records if record.offset > fences.get(CLICK_TABLES[-1].name, -1)]
            left.append(cut(rest, sizes, fences.values()))
        if not _live(machines, in_turn(left), pages, script, epoch):
            return pages


def _live(
    machines: Mapping[int, PartitionProcessor],
    batches: list[RawBatch],
    pages: MemoryPages,
    script: list[int],
    epoch: int,
) -> bool:
    for start in range(0, len(batches), epoch):
        results = [machines[batch.partition].process(batch) for batch in batches[start : start + epoch]]
        tables = script.pop(0) if script else len(CLICK_TABLES)
        pages.write(results, tables)
        if tables < len(CLICK_TABLES):
            return True
    return False
