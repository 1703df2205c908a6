"""``marketplace flows run`` on the real parts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Refused
from connectors.kafka.records import Record
from connectors.mongo.client import connect
from marketplace.collections import FLOW_GENERATIONS
from marketplace.dead_letters import DeadLetter, headers
from marketplace.flows import DEAD_LETTERS_FLOW
from marketplace.settings import Urls
from marketplace.tables import DEAD_LETTERS, GENERATIONS
from marketplace.topics import IMPORTS_DEAD
from ops.drain import unread_records
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.demo import ROOT
from tests.kits.flow_process import closing_producer
from tests.kits.processes import wait_until

DEADLINE_SECONDS = 60.0


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Iterator[Settings]:
    """A database that is not there yet, and no Redis."""
    urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, "")
    made = Settings(urls, PurePosixPath(tmp_path), f"run_{uuid.uuid4().hex}")
    yield made
    ClickHouse(urls.clickhouse, made.database).command(f"DROP DATABASE IF EXISTS {made.database}")
    with connect(urls.mongo) as client:
        client.drop_database(made.database)


def send_letter(settings: Settings) -> None:
    letter = DeadLetter("tests", "undecodable", "why", "shop", "orders.v1", 0, 0)
    with closing_producer(settings.urls.kafka) as producer:
        producer.send_all([Record(IMPORTS_DEAD.name, b"bytes", headers=headers(letter))], 30)


def has_read_all(settings: Settings) -> bool:
    try:
        return unread_records(settings, DEAD_LETTERS_FLOW) == 0
    except Refused:
        return False  # the command has not made the tables yet


def test_a_flow_runs_without_the_parts_that_it_does_not_need_and_makes_only_what_it_needs(
    settings: Settings, tmp_path: Path
) -> None:
    send_letter(settings)
    base = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    own = {"MARKETPLACE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT), **settings.environment()}
    with (tmp_path / "command.log").open("wb") as log:
        command = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "flows", "run", "dead_letters"], env={**base, **own}, stderr=log
        )
    try:
        wait_until(lambda: has_read_all(settings), DEADLINE_SECONDS, "the letters to be in the table")
        command.send_signal(signal.SIGTERM)
        assert command.wait(DEADLINE_SECONDS) == 0, (tmp_path / "command.log").read_text()
    finally:
        command.kill()
        command.wait()
    query = "SELECT name FROM system.tables WHERE database = {d:String}"
    tables = ClickHouse(settings.urls.clickhouse, settings.database).rows(query, {"d": settings.database})
    assert {name for (name,) in tables} == {DEAD_LETTERS.name, GENERATIONS.name}
    with connect(settings.urls.mongo) as client:
        assert client[settings.database].list_collection_names() == [FLOW_GENERATIONS.name]
