"""The gate: a run whose tables differ from the oracle's result has failed, whatever its speed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from bench.contender import CONTENDERS, ends
from bench.stand import RunResult, Stand
from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.insert_shape import structure_of
from connectors.errors import Unavailable
from connectors.insights.report import Analytics, ReportRow
from connectors.kafka.reader import PartitionReader
from marketplace.rollups import STORED
from marketplace.stores import Store
from marketplace.tables import CLICKS, LEDGER, ROLLUPS, SESSIONS, VISITOR_STATE
from marketplace.topics import CLICKS_COLLECTED
from ops.demo.report.verify import Agreement, ask_oracle, compare_ledger, compare_rollups, read_reports
from ops.oracle import Expected, LogRecord, Numbers, RollupKey
from runtime.sections import Settings

_READ_SECONDS: Final = 15.0
_STANDARD_ERRORS: Final = 4.0
_STORED: Final = frozenset(dimension.name for dimension in STORED)
_COUNTED: Final = ("views", "actions", "refires", "visitors")
_COUNTS: Final = "sum(views), sum(actions), sum(refires)"
_ALL: Final = f"{_COUNTS}, sum(sessions), sum(bounces), sum(duration_ms)"
_KEY: Final = "store, grain, dimension, bucket, value, is_bot"


class Gate:
    """Compares runs with the oracle, which takes two minutes for a million records.

    The first run is compared number by number, by the reports that sellers see. If it agrees, its tables are kept, and
    for later runs ClickHouse compares the merged tables row by row, which takes seconds instead of a minute; a run that
    differs is then compared number by number too. For the product's own runs, every fact and session must also be the
    same; rivals do not write all of their columns.

    Args:
        stand: The stand with the corpus.
        names: The contenders that will run.
    """

    def __init__(self, stand: Stand, names: Iterable[str]) -> None:
        self._stand, self._stores = stand, stand.corpus.stores()
        self._settings = Settings(stand.urls, PurePosixPath(stand.folder))
        self._agreed: RunResult | None = None
        if any(CONTENDERS[name].compares for name in names):
            # In a child process, so that the memory is freed: the oracle keeps every fact.
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                self._expected = pool.submit(_ask, self._settings, self._stores).result()

    def judge(self, run: RunResult) -> tuple[RunResult, Agreement]:
        """Compare a run's tables with the oracle; afterwards they are dropped or kept as the model."""
        compares, agreement, model = CONTENDERS[run.name].compares, Agreement(), self._agreed
        if compares:
            if model is not None and self._is_same(run, model):
                numbers = len(_COUNTED) * sum(key.dimension in _STORED for key in self._expected.rollups)
                agreement.compared = model.compared if compares == "all" else numbers
            else:
                agreement = self._compare(run)
            if model is not None and _is_ours(run) and _is_ours(model):
                self._compare_facts(agreement, run, model)
        judged = replace(run, compared=agreement.compared, differ=len(agreement.differences))
        if compares == "all" and self._agreed is None and not agreement.differences:
            self._agreed = judged
        else:
            self._stand.drop(run)
        return judged, agreement

    def _compare(self, run: RunResult) -> Agreement:
        """Compare every number of every report, and the ledger."""
        expected, stores = self._expected, list(self._stores.values())
        clickhouse = ClickHouse(self._settings.urls.clickhouse, run.database)
        analytics, agreement = Analytics(clickhouse), Agreement()
        found = read_reports(analytics, stores)
        if CONTENDERS[run.name].compares == "counts":
            _compare_counts(agreement, expected.rollups, found)
        else:
            compare_ledger(agreement, expected, analytics.ledger(), set(self._stores))
            compare_rollups(agreement, expected, found, stores)
        clickhouse.close()
        return agreement

    def _is_same(self, run: RunResult, model: RunResult) -> bool:
        """Whether the rollups and the ledgers of both runs are equal."""
        counts_only = CONTENDERS[run.name].compares == "counts"
        visitors = f"{VISITOR_STATE.replace('(', 'Merge(')}(visitors)"
        rollups = (
            f"SELECT {_KEY}, {_COUNTS if counts_only else _ALL}, {visitors} FROM {{}}.{ROLLUPS.name} GROUP BY {_KEY}"
        )
        ledger = f"SELECT store, hour, kind, name, sum(events) FROM {{}}.{LEDGER.name} GROUP BY store, hour, kind, name"
        return all(self._same(query, run, model) for query in ([rollups] if counts_only else [rollups, ledger]))

    def _compare_facts(self, agreement: Agreement, run: RunResult, model: RunResult) -> None:
        """Compare facts in all columns, and sessions without the batch that wrote them."""
        standing = ", ".join(name for name, _ in structure_of(SESSIONS) if name not in ("sign", "source_offset"))
        for table, query in (
            (CLICKS, f"SELECT {', '.join(name for name, _ in structure_of(CLICKS))} FROM {{}}.{CLICKS.name}"),
            (SESSIONS, f"SELECT {standing} FROM {{}}.{SESSIONS.name} GROUP BY {standing} HAVING sum(sign) > 0"),
        ):
            agreement.check(f"{table.name} as in {model.name}", True, self._same(query, run, model))

    def _same(self, query: str, run: RunResult, model: RunResult) -> bool:
        clickhouse = ClickHouse(self._settings.urls.clickhouse, run.database)
        same = clickhouse.rows(f"SELECT ({_digest(query, run.database)}) = ({_digest(query, model.database)})")[0][0]
        clickhouse.close()
        return bool(same)


def _is_ours(run: RunResult) -> bool:
    return CONTENDERS[run.name].kind in ("rung", "product")


def _digest(query: str, database: str) -> str:
    """One value for all rows, independent of their order: their number, and two sums of hashes."""
    rows = query.format(database)
    return f"SELECT (count(), sum(sipHash64(tuple(*))), groupBitXor(cityHash64(tuple(*)))) FROM ({rows})"


def _compare_counts(
    agreement: Agreement, expected: Mapping[RollupKey, Numbers], found: Mapping[RollupKey, ReportRow]
) -> None:
    """Compare only views, actions, double clicks and visitors, in the dimensions that are rolled up."""
    for key in sorted(key for key in expected.keys() | found.keys() if key.dimension in _STORED):
        wanted, row = expected.get(key, Numbers()), found.get(key)
        for name in _COUNTED:
            within = _STANDARD_ERRORS * row.visitors_error if row is not None and name == "visitors" else 0.0
            has = 0 if row is None else getattr(row, name)
            agreement.check(f"{key} {name}", getattr(wanted, name), has, within=within)


def _ask(settings: Settings, stores: Mapping[str, Store]) -> Expected:
    expected = ask_oracle(settings, _read(settings.urls.kafka), stores)
    # The numbers suffice; the facts take gigabytes.
    expected.facts.clear()
    return expected


def _read(bootstrap: str) -> Iterator[LogRecord]:
    """All records of the topic, by a reader that is independent of the contenders."""
    left = {partition: end for partition, end in ends(bootstrap).items() if end}
    reader = PartitionReader(bootstrap, CLICKS_COLLECTED.name, "bench.oracle")
    for partition in left:
        reader.add(partition, 0)
    deadline = time.monotonic() + _READ_SECONDS
    while any(left.values()):
        for message in reader.consume(5_000, 0.1):
            yield LogRecord(message.partition(), message.offset(), message.timestamp()[1], message.value() or b"")
            left[message.partition()] -= 1
            deadline = time.monotonic() + _READ_SECONDS
        if time.monotonic() > deadline:
            raise Unavailable("the topic's records do not come back")
    reader.close()
