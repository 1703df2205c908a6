"""A limit, not a rival: one SQL statement over finished facts, in the engine that reports run on.

Before the meter starts, the whole click path has run (records decoded, duplicates dropped, double clicks and bots
found, places, devices and referrals looked up), and its facts are in an in-memory table of this process. One statement
finds visits by windows and aggregates by store, quarter and day, dimension, value and kind of visitor: views, actions,
double clicks and the mergeable sets of visitors, written to a file in memory. It has no numbers of sessions, ledger,
facts table, read models or delivery, and nothing is incremental. The oracle compares what it counts: views, actions,
double clicks and visitors of every report.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import chdb
import clickhouse_connect

from bench.contender import Task
from bench.contenders.facts import COLUMNS
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.rollups import OF_VISITS, SPARSE, STORED
from marketplace.stores import Store
from marketplace.tables import ROLLUPS, VISITOR_STATE

_KEYS: Final = "store, grain, dimension, bucket, value, is_bot"
_PLAIN: Final = {
    "source_partition": "UInt16",
    "source_offset": "UInt64",
    "occurred_at": "DateTime64(3, 'UTC')",
    "visitor": "UInt64",
    "is_bot": "UInt8",
}
_OF_VISITS: Final = tuple(dict.fromkeys(d.column for d in OF_VISITS if d.column is not None))


def run(task: Task) -> None:
    """Run the statement, and insert its result into the tables for the oracle."""
    folder = Path(task.options["scratch"])
    facts, answer = folder / "facts.parquet", folder / f"{task.settings.database}.native"
    if not facts.exists():
        _prepare(task, facts)
    stores = MongoStores(connect(task.settings.urls.mongo), task.settings.database).list_stores()
    engine: Any = chdb.connect(":memory:")
    texts = ", ".join(f"{name} LowCardinality(String)" for name in COLUMNS if name not in _PLAIN)
    plain = ", ".join(f"{name} {kind}" for name, kind in _PLAIN.items())
    engine.query(f"CREATE TABLE facts ({plain}, {texts}) ENGINE = Memory")
    names = ", ".join(COLUMNS)
    engine.query(f"INSERT INTO facts ({names}) SELECT {names} FROM file('{facts}', Parquet)")
    task.meter.start()
    engine.query(f"INSERT INTO FUNCTION file('{answer}', Native) {statement(stores)}")
    task.meter.stop()
    _hand_over(task, answer)


def statement(stores: Iterable[Store]) -> str:
    """The counts of all dimensions by quarter and day."""
    days = " ".join(f"WHEN '{s.slug}' THEN toDate(occurred_at, '{s.timezone}')" for s in stores)
    parts = []
    for dimension in STORED:
        column = f"visit_{dimension.column}" if dimension.scope == "visit" else dimension.column
        value = "''" if column is None else f"toString({column})"
        only = f"WHERE {column} != ''" if dimension.name in SPARSE else ""
        for grain, bucket in (("quarter", "quarter"), ("day", "day")):
            parts.append(
                f"SELECT store, '{grain}' AS grain, '{dimension.name}' AS dimension, "
                f"toDateTime({bucket}, 'UTC') AS bucket, {value} AS value, is_bot, "
                "countIf(outcome != 'refire' AND type = 'view') AS views, "
                "countIf(outcome != 'refire' AND type != 'view') AS actions, countIf(outcome = 'refire') AS refires, "
                f"{VISITOR_STATE.replace('(', 'State(')}(visitor) AS visitors "
                f"FROM dated {only} GROUP BY {_KEYS}"
            )
    owner, order = "source_partition, visitor, is_bot", "occurred_at, source_offset"
    gap = (
        "occurred_at - lagInFrame(occurred_at, 1, toDateTime64(0, 3, 'UTC')) OVER "
        f"(PARTITION BY {owner} ORDER BY {order} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) > 1800"
    )
    begun = (
        f"SELECT *, sum(begins) OVER (PARTITION BY {owner} ORDER BY {order}) AS visit "
        f"FROM (SELECT *, {gap} AS begins FROM facts)"
    )
    firsts = ", ".join(
        f"first_value({name}) OVER (PARTITION BY {owner}, visit ORDER BY {order}) AS visit_{name}"
        for name in _OF_VISITS
    )
    dated = (
        f"SELECT *, {firsts}, toStartOfFifteenMinutes(occurred_at) AS quarter, CASE store {days} END AS day "
        f"FROM ({begun})"
    )
    # One thread: the overhead of sharing work between two would not be the engine's limit.
    return f"WITH dated AS ({dated}) {' UNION ALL '.join(parts)} SETTINGS max_threads = 1"


def _prepare(task: Task, path: Path) -> None:
    command = [sys.executable, "-m", "bench.contender", "facts", json.dumps({**task.options, "path": str(path)})]
    subprocess.run(command, env=os.environ, check=True, stdout=subprocess.DEVNULL)


def _hand_over(task: Task, answer: Path) -> None:
    url = task.settings.urls.clickhouse
    client = clickhouse_connect.get_client(dsn=f"{url}/{task.settings.database}")
    names = [*_KEYS.split(", "), "views", "actions", "refires", "visitors"]
    client.raw_insert(ROLLUPS.name, names, insert_block=answer.read_bytes(), fmt="Native")
    answer.unlink()
