"""An access log beside pages that send their own views, on a real ClickHouse."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pytest
from typer.testing import CliRunner, Result

from connectors.clickhouse.client import ClickHouse
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from ingest.imports.selection import Selection
from marketplace.settings import Urls
from ops.cli import make_app
from ops.commands.import_overlap import refuse_what_pages_sent
from ops.commands.import_readings import RefusedImport, read_files
from ops.commands.log_progress import Progress, open_files
from ops.commands.moments import epoch_ms_in, read_moment
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.collector import SHOP
from tests.kits.insights import empty_tables

STORE = replace(SHOP, timezone="Europe/Berlin")
VIEWS = Selection("shop.example")
ANSWER_SECONDS = 20.0
Run = Callable[..., Result]
BEFORE, AFTER = "20/Nov/2026:08:59:59 +0000", "20/Nov/2026:09:00:10 +0000"


@dataclass
class Said(Progress):
    """What is said to whoever imports."""

    said: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def tables(stack: Stack) -> Iterator[ClickHouse]:
    with empty_tables(stack.urls.clickhouse) as clickhouse:
        yield clickhouse


@pytest.fixture
def counted(tables: ClickHouse) -> ClickHouse:
    """A store whose pages sent their first view at 10:00:30 of its own clock; what else it has is no such view."""
    tables.command(f"TRUNCATE TABLE {tables.database}.clicks")
    rows = [
        ("shop", "view", "web", "2026-11-20 09:00:30", 0),
        ("shop", "view", "pixel", "2026-11-21 09:00:00", 0),
        ("shop", "view", "import", "2026-11-19 09:00:00", 0),
        ("shop", "click", "web", "2026-11-19 09:00:00", 0),
        ("shop", "view", "web", "2026-11-19 09:00:00", 1),
        ("other", "view", "web", "2026-11-19 09:00:00", 0),
    ]
    values = ", ".join(map(str, rows))
    tables.command(f"INSERT INTO {tables.database}.clicks (store, type, origin, received_at, is_bot) VALUES {values}")
    return tables


@pytest.fixture
def run(stack: Stack, counted: ClickHouse, tmp_path: Path) -> Iterator[Run]:
    """The command, for a log with such a view."""
    log = tmp_path / "access.log"
    log.write_bytes(lines(BEFORE, AFTER))
    client = connect(stack.urls.mongo)
    MongoStores(client, counted.database).create_store(STORE)
    urls = {part: getattr(stack.urls, part) for part in ("kafka", "mongo", "clickhouse")}
    environment = {f"MARKETPLACE_{part.upper()}_URL": url for part, url in urls.items()}
    asked = ["ingest", "log", str(log), "--store", "shop", "--any-host", "--no-drain", "--json"]

    def run(*more: str) -> Result:
        command = [*asked, *more]
        return CliRunner().invoke(
            make_app(command), command, env={**environment, "MARKETPLACE_DATABASE": counted.database}
        )

    yield run
    client.drop_database(counted.database)
    client.close()


def lines(*times: str, target: str = "/page") -> bytes:
    return "".join(f'192.0.2.1 - - [{at}] "GET {target} HTTP/1.1" 200 5 "-" "Browser"\n' for at in times).encode()


def looked_at(tables: ClickHouse, path: Path, selection: Selection = VIEWS, url: str | None = None) -> list[str]:
    """What is said; whatever is refused is raised. Afterwards all lines of the file are there still."""
    settings = Settings(Urls("", "", tables.url if url is None else url, ""), PurePosixPath("unused"), tables.database)
    with open_files([str(path)]) as opened:
        files, progress = read_files(opened, None, "UTC"), Said(opened)
        try:
            refuse_what_pages_sent(settings, STORE, selection, files, progress, ANSWER_SECONDS)
        finally:
            assert [line.number for line in files[0].lines][:1] == [1]
    return progress.said


def until(text: str) -> Selection:
    return replace(VIEWS, until_ms=epoch_ms_in(read_moment(text, "--until"), STORE.timezone))


def test_a_log_with_views_of_a_time_when_pages_sent_theirs_is_refused_with_the_moment_and_the_ways_out(
    counted: ClickHouse, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(lines(BEFORE, AFTER))

    with pytest.raises(RefusedImport) as refused:
        looked_at(counted, log)

    text = str(refused.value)
    assert "since 2026-11-20T10:00 (Europe/Berlin)" in text
    assert "--beside-snippet" in text
    named = re.search(r"--until (\S+)", text)
    assert named is not None
    assert looked_at(counted, log, until(named[1])) == []
    with pytest.raises(RefusedImport):
        looked_at(counted, log, until("2026-11-20T10:01"))


@pytest.mark.parametrize(
    "harmless", [lines(BEFORE), lines(BEFORE) + lines(AFTER, target="/logo.png"), lines(BEFORE) * 1_200, b""]
)
def test_a_log_without_such_views_is_taken(counted: ClickHouse, tmp_path: Path, harmless: bytes) -> None:
    (tmp_path / "access.log").write_bytes(harmless)

    settings = Settings(Urls("", "", counted.url, ""), PurePosixPath("unused"), counted.database)
    with open_files([str(tmp_path / "access.log")]) as opened:
        files = read_files(opened, None, "UTC")
        progress = Said(opened)
        refuse_what_pages_sent(settings, STORE, VIEWS, files, progress, ANSWER_SECONDS)
        assert progress.said == []

        assert len(list(files[0].lines)) == harmless.count(b"\n")


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_one_such_view_behind_thousands_of_older_lines_is_found(
    counted: ClickHouse, tmp_path: Path, packed: type[bytes]
) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(packed(lines(BEFORE) * 3_000 + lines(AFTER)))

    with pytest.raises(RefusedImport, match="has page views after that"):
        looked_at(counted, log)


def test_a_long_pipe_cannot_be_looked_through_and_is_taken_only_as_somebody_says(
    counted: ClickHouse, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def refused_or_said(selection: Selection) -> list[str]:
        writer = threading.Thread(target=pipe.write_bytes, args=(lines(BEFORE) * 3_000,))
        writer.start()
        try:
            return looked_at(counted, pipe, selection)
        finally:
            writer.join()

    with pytest.raises(RefusedImport, match="cannot be looked through before it is sent"):
        refused_or_said(VIEWS)
    assert refused_or_said(until("2026-11-20T10:00")) == []


def test_where_clickhouse_does_not_answer_it_is_said_that_nobody_looked(counted: ClickHouse, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(lines(AFTER))

    for url in ("", "http://127.0.0.1:1"):
        (said,) = looked_at(counted, log, url=url)
        assert said.startswith("Not known whether the pages of shop send page views already")


def test_a_database_in_which_nothing_was_counted_yet_has_no_pages_that_send(
    counted: ClickHouse, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(lines(AFTER))
    counted.command(f"TRUNCATE TABLE {counted.database}.clicks")
    assert looked_at(counted, log) == []
    assert looked_at(ClickHouse(counted.url, "nowhere"), log) == []


def test_the_command_sends_nothing_of_such_a_log_until_somebody_says_so(
    run: Run,
) -> None:
    assert isinstance(run().exception, RefusedImport)
    assert json.loads(run("--beside-snippet").stdout)["sent"] == 2
    cut = json.loads(run("--until", "2026-11-20T10:00").stdout)
    assert (cut["sent"], cut["out_of_range"]) == (1, 1)


def test_while_clickhouse_is_frozen_the_command_says_that_it_waits_and_then_that_nobody_looked(
    stack: Stack, run: Run
) -> None:
    frozen = stack.pid("clickhouse")
    os.kill(frozen, signal.SIGSTOP)
    try:
        finished = run("--wait", "3.5")
    finally:
        os.kill(frozen, signal.SIGCONT)
    said = finished.stderr
    assert json.loads(finished.stdout)["sent"] == 2
    assert 0 < said.index("Waiting for ClickHouse to answer.") < said.index("Not known whether the pages of shop")
