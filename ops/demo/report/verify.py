"""Reads all reports back, as a seller would, and compares them with the oracle, number by number."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from connectors.errors import Unavailable
from connectors.insights import Scope
from connectors.insights.report import Analytics, LedgerRow, ReportRow
from connectors.kafka.reader import PartitionReader
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from marketplace.enrichments import Lookups
from marketplace.rollups import DIMENSIONS, GRAINS
from marketplace.stores import Store
from marketplace.topics import CLICKS_COLLECTED
from ops.oracle import Expected, LogRecord, Numbers, RollupKey, expect
from runtime.sections import Settings

BOTS: Final = ("exclude", "include", "only")
_READ_SECONDS: Final = 15.0
_STANDARD_ERRORS: Final = 4.0
"""An estimate that is off by more than this many of its standard errors counts as wrong; by chance that happens once in
16,000."""


@dataclass
class Agreement:
    """The result of a comparison: how many numbers were compared, and a line of text for each that differs."""

    compared: int = 0
    differences: list[str] = field(default_factory=list)

    def check(self, what: str, expected: object, found: object, *, within: float = 0.0) -> None:
        """Compare one number."""
        self.compared += 1
        if expected == found:
            return
        if within and isinstance(expected, int) and isinstance(found, int) and abs(expected - found) <= within:
            return
        self.differences.append(f"{what}: {found} in the tables, {expected} expected")


def read_log(settings: Settings, starts: Mapping[int, int], ends: Mapping[int, int]) -> list[LogRecord]:
    """The topic's records from ``starts`` to before ``ends``, by a reader of its own.

    Raises:
        Unavailable: Kafka does not answer, or does not return records that it has.
        Refused: Records at the start have expired.
    """
    reader = PartitionReader(settings.kafka, CLICKS_COLLECTED.name, "demo.oracle")
    records: list[LogRecord] = []
    missing = {partition: end - starts.get(partition, 0) for partition, end in ends.items()}
    try:
        for partition, count in missing.items():
            if count > 0:
                reader.add(partition, starts.get(partition, 0))
        deadline = time.monotonic() + _READ_SECONDS
        while sum(count for count in missing.values() if count > 0):
            if time.monotonic() > deadline:
                raise Unavailable("the topic's records do not come back")
            # The call returns when it has this many records, or after the time; both bounds are small.
            for message in reader.consume(5_000, 0.1):
                deadline = time.monotonic() + _READ_SECONDS
                if message.offset() < ends[message.partition()]:
                    missing[message.partition()] -= 1
                    value = message.value() or b""
                    records.append(LogRecord(message.partition(), message.offset(), message.timestamp()[1], value))
    finally:
        reader.close()
    return records


def ask_oracle(settings: Settings, records: Iterable[LogRecord], stores: Mapping[str, Store]) -> Expected:
    """The expected content of the tables, with the same lookups as the flow."""
    places = GeoIP(Path(settings.geoip_file)) if settings.geoip_file else GeoIP()
    return expect(records, stores, Lookups(places.snapshot(), UserAgents()), CrawlerList())


def compare_ledger(agreement: Agreement, expected: Expected, rows: Iterable[LedgerRow], stores: set[str]) -> None:
    """Every count of the ledger, by store and hour.

    Args:
        agreement: Collects the comparisons.
        expected: The oracle's result for the run's part of the log.
        rows: The ledger's growth during the run.
        stores: Slugs of the stores that only this run has written to.
    """
    found = {(row.store, int(row.hour.timestamp()) // 3600): row for row in rows}
    keys = {key for key in expected.received if key[0] in stores or key[0] == ""}
    for key in sorted(keys | set(found)):
        row = found.get(key, LedgerRow(key[0], datetime.fromtimestamp(key[1] * 3600, UTC), 0, {}, {}))
        agreement.check(f"ledger {key} received", expected.received[key], row.received)
        agreement.check(f"ledger {key} difference", 0, row.difference)
        for name, expects, finds in (
            ("outcome", expected.ledger, row.outcomes),
            ("note", expected.notes, row.notes),
        ):
            names = {k[2] for k in expects if k[:2] == key} | set(finds)
            for each in sorted(names):
                agreement.check(f"ledger {key} {name} {each}", expects[*key, each], finds.get(each, 0))


def read_reports(analytics: Analytics, stores: Iterable[Store]) -> dict[RollupKey, ReportRow]:
    """Every report: all combinations of store, grain, dimension and treatment of bots, all dimensions at once.

    Raises:
        Unavailable: ClickHouse does not answer.
    """
    found: dict[RollupKey, ReportRow] = {}
    queries = list(product(stores, GRAINS, BOTS))
    with ThreadPoolExecutor(4) as pool:
        for rows in pool.map(lambda query: list(_read(analytics, *query)), queries):
            found.update(rows)
    return found


def compare_rollups(
    agreement: Agreement, expected: Expected, found: Mapping[RollupKey, ReportRow], stores: Iterable[Store]
) -> None:
    """Every number of every report: store, grain, dimension, bots, bucket, value."""
    slugs = {store.slug for store in stores}
    keys = {key for key in expected.rollups if key.store in slugs}
    for key in sorted(keys | set(found)):
        _compare_row(agreement, key, expected.rollups.get(key, Numbers()), found.get(key))


def _read(analytics: Analytics, store: Store, grain: str, bots: str) -> Iterator[tuple[RollupKey, ReportRow]]:
    scope = Scope(store.slug, ZoneInfo(store.timezone), bots=bots)
    for split, rows in analytics.reports_of(scope, grain, [dimension.name for dimension in DIMENSIONS]).items():
        for row in rows:
            yield RollupKey(store.slug, grain, bucket_time(row.bucket), split, row.value, bots), row


def _compare_row(agreement: Agreement, key: RollupKey, wanted: Numbers, row: ReportRow | None) -> None:
    where = f"{key.store} {key.grain} {key.bucket:%Y-%m-%dT%H:%M} {key.dimension}={key.value!r} bots={key.bots}"
    error = 0.0 if row is None else row.visitors_error
    for name, number in wanted._asdict().items():
        within = _STANDARD_ERRORS * error if name == "visitors" else 0.0
        agreement.check(f"{where} {name}", number, 0 if row is None else getattr(row, name), within=within)


def bucket_time(label: str) -> datetime:
    """The moment, or the date as if it were UTC, that a report's bucket label means."""
    if "T" in label:
        return datetime.fromisoformat(label).astimezone(UTC)
    year, month, *day = (int(part) for part in label.split("-"))
    return datetime(year, month, day[0] if day else 1, tzinfo=UTC)
