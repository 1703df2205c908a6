"""The gate: a run whose tables differ from the oracle's answer has failed, whatever its speed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from bench.contender import CONTENDERS, ends
from bench.stand import Ran, Stand
from connectors.analytics import Analytics, ReportRow
from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from connectors.kafka.reader import PartitionReader
from marketplace.settings import Settings
from marketplace.stores import Store
from marketplace.tables import LEDGER, ROLLUPS, VISITOR_STATE
from ops.demo.verify import Agreement, ask_oracle, compare_ledger, compare_rollups, read_reports
from ops.oracle import Expected, LogRecord, Numbers, RollupKey

_READ_SECONDS: Final = 15.0
_STANDARD_ERRORS: Final = 4.0
_COUNTED: Final = ("clicks", "refires", "visitors")
_COUNTS: Final = "sum(clicks), sum(refires)"
_ALL: Final = f"{_COUNTS}, sum(sessions), sum(bounces), sum(duration_ms)"
_KEY: Final = "store, grain, dimension, bucket, value, is_bot"


class Gate:
    """The oracle's answers, one for each topic that a contender is checked on; two minutes for a million records.

    The first run on a topic that agrees is compared number by number, by the reports that sellers see. Its tables are
    kept: of a later run ClickHouse is asked whether they hold the same, merged, row by row, which takes seconds instead
    of a minute; if they do not, that run is compared number by number too.

    Args:
        stand: Where the corpus is.
        names: Of the contenders that will run.
    """

    def __init__(self, stand: Stand, names: Iterable[str]) -> None:
        self._stand, self._stores = stand, stand.corpus.stores()
        self._settings = Settings(stand.urls, PurePosixPath(stand.folder))
        self._agreed: dict[str, Ran] = {}
        topics = {stand.topic_of(name) for name in names if CONTENDERS[name].compares}
        # In processes of their own, which give the memory back: the oracle holds every fact.
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            asked = {topic: pool.submit(_ask, self._settings, topic, self._stores) for topic in sorted(topics)}
            self._expected = {topic: answer.result() for topic, answer in asked.items()}

    def judge(self, run: Ran) -> tuple[Ran, Agreement]:
        """Compare what the contender counts with its tables, which are gone or kept afterwards."""
        topic, compares = self._stand.topic_of(run.name), CONTENDERS[run.name].compares
        agreement = Agreement()
        if compares:
            model = self._agreed.get(topic)
            if model is not None and self._is_same(run, model):
                expected = self._expected[topic].rollups
                agreement.compared = model.compared if compares == "all" else len(_COUNTED) * len(expected)
            else:
                agreement = self._compare(run)
        judged = replace(run, compared=agreement.compared, differ=len(agreement.differences))
        if compares == "all" and topic not in self._agreed and not agreement.differences:
            self._agreed[topic] = judged
        else:
            self._stand.drop(run)
        return judged, agreement

    def _compare(self, run: Ran) -> Agreement:
        """Every number of every report, and the ledger."""
        expected, stores = self._expected[self._stand.topic_of(run.name)], list(self._stores.values())
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

    def _is_same(self, run: Ran, model: Ran) -> bool:
        """Whether reports on both runs cannot but be equal."""
        counts_only = CONTENDERS[run.name].compares == "counts"
        visitors = f"{VISITOR_STATE.replace('(', 'Merge(')}(visitors)"
        rollups = (
            f"SELECT {_KEY}, {_COUNTS if counts_only else _ALL}, {visitors} FROM {{}}.{ROLLUPS.name} GROUP BY {_KEY}"
        )
        ledger = f"SELECT store, hour, kind, name, sum(events) FROM {{}}.{LEDGER.name} GROUP BY store, hour, kind, name"
        clickhouse = ClickHouse(self._settings.urls.clickhouse, run.database)
        same = all(
            clickhouse.rows(
                f"SELECT ({_digest(query, run.database)}) = ({_digest(query, model.database)})",
            )[0][0]
            for query in ([rollups] if counts_only else [rollups, ledger])
        )
        clickhouse.close()
        return same


def _digest(query: str, database: str) -> str:
    """One value for all rows whatever their order: how many there are, and two sums of their hashes."""
    rows = query.format(database)
    return f"SELECT (count(), sum(sipHash64(tuple(*))), groupBitXor(cityHash64(tuple(*)))) FROM ({rows})"


def _compare_counts(
    agreement: Agreement, expected: Mapping[RollupKey, Numbers], found: Mapping[RollupKey, ReportRow]
) -> None:
    """Clicks, double clicks and visitors alone."""
    for key in sorted(expected.keys() | found.keys()):
        wanted, row = expected.get(key, Numbers()), found.get(key)
        for name in _COUNTED:
            within = _STANDARD_ERRORS * row.visitors_error if row is not None and name == "visitors" else 0.0
            has = 0 if row is None else getattr(row, name)
            agreement.check(f"{key} {name}", getattr(wanted, name), has, within=within)


def _ask(settings: Settings, topic: str, stores: Mapping[str, Store]) -> Expected:
    expected = ask_oracle(settings, _read(settings.urls.kafka, topic), stores)
    # The numbers are enough; what they were counted from takes gigabytes.
    expected.facts.clear()
    return expected


def _read(bootstrap: str, topic: str) -> Iterator[LogRecord]:
    """All records of a topic, by a reader that no contender has a part in."""
    left = {partition: end for partition, end in ends(bootstrap, topic).items() if end}
    reader = PartitionReader(bootstrap, topic, "bench.oracle")
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
