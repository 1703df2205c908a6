"""A limit, not a rival: one SQL statement over finished facts, in the engine that reports run on.

Before the meter starts, the whole click path has run (records decoded, duplicates dropped, double clicks and bots
found, places, devices and referrals looked up), and its facts are in an in-memory table of this process. One statement
aggregates them by store, quarter and day, dimension, value and kind of visitor: clicks, double clicks and the mergeable
sets of visitors, written to a file in memory. It has no sessions, ledger, facts table, read models or delivery, and
nothing is incremental. So no flow that writes these rollups with this engine can cost less. The oracle compares what it
counts: clicks, double clicks and visitors of every report.
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
from marketplace.rollups import DIMENSIONS, SPARSE
from marketplace.stores import Store
from marketplace.tables import ROLLUPS, VISITOR_STATE

_KEYS: Final = "store, grain, dimension, bucket, value, is_bot"
_PLAIN: Final = {"occurred_at": "DateTime64(3, 'UTC')", "visitor": "UInt64", "is_bot": "UInt8"}


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
    for dimension in DIMENSIONS:
        value = "''" if dimension.column is None else f"toString({dimension.column})"
        only = f"WHERE {dimension.column} != ''" if dimension.name in SPARSE else ""
        for grain, bucket in (("quarter", "quarter"), ("day", "day")):
            parts.append(
                f"SELECT store, '{grain}' AS grain, '{dimension.name}' AS dimension, "
                f"toDateTime({bucket}, 'UTC') AS bucket, {value} AS value, is_bot, "
                "countIf(outcome != 'refire') AS clicks, countIf(outcome = 'refire') AS refires, "
                f"{VISITOR_STATE.replace('(', 'State(')}(visitor) AS visitors "
                f"FROM dated {only} GROUP BY {_KEYS}"
            )
    dated = f"SELECT *, toStartOfFifteenMinutes(occurred_at) AS quarter, CASE store {days} END AS day FROM facts"
    # One thread: the overhead of sharing work between two would not be the engine's limit.
    return f"WITH dated AS ({dated}) {' UNION ALL '.join(parts)} SETTINGS max_threads = 1"


def _prepare(task: Task, path: Path) -> None:
    command = [sys.executable, "-m", "bench.contender", "facts", json.dumps({**task.options, "path": str(path)})]
    subprocess.run(command, env=os.environ, check=True, stdout=subprocess.DEVNULL)


def _hand_over(task: Task, answer: Path) -> None:
    url = task.settings.urls.clickhouse
    client = clickhouse_connect.get_client(dsn=f"{url}/{task.settings.database}")
    names = [*_KEYS.split(", "), "clicks", "refires", "visitors"]
    client.raw_insert(ROLLUPS.name, names, insert_block=answer.read_bytes(), fmt="Native")
    answer.unlink()
