"""``marketplace ingest log`` on the real parts."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores, to_document
from marketplace.clicks.events import CollectedClick
from marketplace.collections import STORES, VISITOR_SALTS
from marketplace.tables import LEDGER
from marketplace.topics import CLICKS_COLLECTED, IMPORTS_DEAD
from ops.commands.import_store import new_store
from ops.stack import Stack
from tests.kits.collector import eventually, read_topic, readable
from tests.kits.commands import run_command

DEADLINE_SECONDS = 60.0
DOMAIN = ("--domain", "shop.example")


def line(number: int, target: str = "/page", agent: str = "Browser") -> bytes:
    return (
        f"10.0.{number % 7}.1 - - [17/May/2015:10:{number // 60:02d}:{number % 60:02d} +0000] "
        f'"GET {target} HTTP/1.1" 200 5 "-" "{agent}"\n'
    ).encode()


@dataclass
class Command:
    """The command on a stack, for a store of its own."""

    stack: Stack
    store: str
    domain: tuple[str, ...] = DOMAIN

    def line(self, *arguments: str) -> list[str]:
        return ["ingest", "log", "--no-drain", "--store", self.store, *self.domain, *arguments]

    def environment(self, **changes: str) -> dict[str, str]:
        urls = self.stack.urls
        return {
            **os.environ,
            "MARKETPLACE_KAFKA_URL": urls.kafka,
            "MARKETPLACE_MONGO_URL": urls.mongo,
            "MARKETPLACE_CLICKHOUSE_URL": urls.clickhouse,
            "MARKETPLACE_REDIS_URL": urls.redis,
            **changes,
        }

    def run(self, *arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        return run_command(
            *self.line(*arguments), cwd=Path.cwd(), env=self.environment(**environment), stdin=stdin,
            timeout=DEADLINE_SECONDS,
        )  # fmt: skip

    def summary(self, *arguments: str, stdin: bytes = b"") -> dict[str, object]:
        finished = self.run(*arguments, "--json", stdin=stdin)
        assert finished.returncode == 0, finished.stderr
        document = json.loads(finished.stdout)
        assert isinstance(document, dict)
        return document

    def clicks(self) -> list[CollectedClick]:
        messages = read_topic(self.stack.urls.kafka, CLICKS_COLLECTED)
        return [click for click in readable(messages) if click.store == self.store]

    def dead_letters(self) -> list[tuple[bytes, dict[str, object]]]:
        messages = read_topic(self.stack.urls.kafka, IMPORTS_DEAD)
        letters = [(message.value() or b"", dict[str, object](message.headers() or [])) for message in messages]
        return [letter for letter in letters if letter[1].get("dlq_store") == self.store.encode()]


@pytest.fixture
def command(stack: Stack) -> Command:
    # No two of these are alike, so that none is taken for a mistyped other one.
    return Command(stack, uuid.uuid4().hex)


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    """The name of a database that is not there yet, in MongoDB and in ClickHouse."""
    name = f"import_{uuid.uuid4().hex}"
    yield name
    ClickHouse(stack.urls.clickhouse, name).command(f"DROP DATABASE IF EXISTS {name}")
    client = connect(stack.urls.mongo)
    client.drop_database(name)
    client.close()


def collections_of(stack: Stack, database: str) -> set[str]:
    client = connect(stack.urls.mongo)
    try:
        return set(client[database].list_collection_names())
    finally:
        client.close()


def tables_of(stack: Stack, database: str) -> set[str]:
    query = "SELECT name FROM system.tables WHERE database = {d:String}"
    return {str(name) for (name,) in ClickHouse(stack.urls.clickhouse, database).rows(query, {"d": database})}


def test_an_import_that_does_not_wait_for_the_flow_works_without_clickhouse_and_redis(
    command: Command, database: str
) -> None:
    nowhere = {"MARKETPLACE_CLICKHOUSE_URL": "http://127.0.0.1:1", "MARKETPLACE_REDIS_URL": ""}

    finished = command.run("-", stdin=line(1), MARKETPLACE_DATABASE=database, **nowhere)

    assert finished.returncode == 0, finished.stderr
    assert len(command.clicks()) == 1
    assert collections_of(command.stack, database) == {STORES.name, VISITOR_SALTS.name}


def test_an_import_that_waits_for_the_flow_sends_nothing_while_clickhouse_is_unavailable(command: Command) -> None:
    nowhere = {"MARKETPLACE_CLICKHOUSE_URL": "http://127.0.0.1:1"}

    finished = command.run("-", "--drain", "--wait", "0", stdin=line(1), **nowhere)

    assert finished.returncode == 1
    assert "ClickHouse at 127.0.0.1:1 is unavailable" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert command.clicks() == []


def test_an_import_that_waits_for_the_flow_makes_the_ledger_alone_and_ends_when_all_is_in_it(
    command: Command, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(line(1))
    environment = command.environment(MARKETPLACE_DATABASE=database)
    with subprocess.Popen(
        [sys.executable, "-m", "ops.cli", *command.line(str(file), "--drain", "--json")],
        env=environment,
        stdout=subprocess.PIPE,
    ) as importing:
        eventually(lambda: tables_of(command.stack, database), "the ledger", DEADLINE_SECONDS)
        made = tables_of(command.stack, database)
        rows = ", ".join(f"('a', 0, 'received', '', 1, {at}, 1000000)" for at in range(CLICKS_COLLECTED.partitions))
        ClickHouse(command.stack.urls.clickhouse, database).command(
            f"INSERT INTO {database}.{LEDGER.name} (store, hour, kind, name, events, source_partition, source_offset) "
            f"VALUES {rows}"
        )
        output, _ = importing.communicate(timeout=DEADLINE_SECONDS)

    assert made == {LEDGER.name}
    assert (importing.returncode, json.loads(output)["waiting"]) == (0, 0)


def test_a_file_imported_twice_and_grown_since_counts_each_request_once(command: Command, tmp_path: Path) -> None:
    whole = b"".join(line(number) for number in range(300)) + line(5) * 2
    part = tmp_path / "part.log"
    # The line feed of the last one is not there yet.
    part.write_bytes(whole[: len(b"".join(line(number) for number in range(181))) - 1])
    grown = tmp_path / "grown.log"
    grown.write_bytes(whole)

    summaries = [command.summary(str(file)) for file in (part, part, grown)]

    assert [summary["sent"] for summary in summaries] == [180, 180, 302]
    assert [summary["unended"] for summary in summaries] == [1, 1, 0]
    assert f"the last line of {part} has no end yet" in command.run(str(part)).stdout
    clicks = command.clicks()
    assert len({click.key for click in clicks}) == 302
    assert len({click.visitor for click in clicks}) == 7


def test_the_store_is_created_in_utc_and_it_is_said_once(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(line(1))

    first, second = command.run(str(file)), command.run(str(file))

    assert f"Store {command.store} did not exist: created, time zone UTC, host shop.example." in first.stderr
    assert "did not exist" not in second.stderr
    client = connect(command.stack.urls.mongo)
    store = MongoStores(client, "marketplace").get(command.store)
    client.close()
    assert store is not None
    assert store.timezone == "UTC"


def test_an_unknown_store_that_must_not_be_created_is_one_clear_line(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(line(1))

    finished = command.run(str(file), "--no-create-store")

    assert finished.returncode == 1
    assert "--create-store" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_nothing_is_imported_into_a_store_that_was_deleted(command: Command) -> None:
    client = connect(command.stack.urls.mongo)
    document = to_document(new_store(command.store, "UTC", ()))
    client["marketplace"][STORES.name].insert_one({**document, "deleted_at": datetime.now(UTC)})
    client.close()

    finished = command.run("-", "--create-store", stdin=line(2))

    assert finished.returncode == 1
    assert f"store {command.store} was deleted: nothing is imported into it" in finished.stderr
    assert command.clicks() == []


def test_a_store_whose_name_is_much_like_another_is_not_created_by_mistake(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(line(1))
    command.summary(str(file))
    mistyped = Command(command.stack, f"{command.store}x")

    # The spelling comes first: nobody is asked for the host of a store that is none.
    refused = replace(mistyped, domain=()).run(str(file))
    meant = mistyped.run(str(file), "--create-store")

    said = [text for text in refused.stderr.splitlines() if not text.startswith("Waiting for ")]
    assert (refused.returncode, len(said)) == (1, 1)
    assert f"no store {mistyped.store}; did you mean {command.store}?" in refused.stderr
    assert (meant.returncode, len(mistyped.clicks())) == (0, 1)


def test_an_import_of_nothing_but_unparseable_lines_fails_in_one_line(command: Command) -> None:
    finished = command.run("-", "--json", stdin=b"this is\nno log\n")

    assert (finished.returncode, finished.stdout) == (1, "")
    assert "-: nothing was sent, as none of its first 2 lines is of a format that is known" in finished.stderr
    assert "; the first that is not begins: this is\n" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert command.dead_letters() == []


def test_compressed_files_and_standard_input_are_read(command: Command, tmp_path: Path) -> None:
    packed = tmp_path / "a.log.gz"
    packed.write_bytes(gzip.compress(line(1)))

    summary = command.summary(str(packed), "-", stdin=line(2) + line(3))

    assert (summary["lines"], summary["sent"]) == (3, 3)


def test_a_file_named_twice_is_read_once(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(line(1))

    assert command.summary(str(file), str(file))["lines"] == 1


def test_assets_are_left_out_unless_they_are_asked_for(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(line(1) + line(2, "/logo.png"))

    without, with_assets = command.summary(str(file)), command.summary(str(file), "--include-assets")

    assert (without["sent"], without["assets_skipped"]) == (1, 1)
    assert (with_assets["sent"], with_assets["assets_skipped"]) == (2, 0)
    assert sorted(Counter(click.key for click in command.clicks()).values()) == [1, 2]


def test_unparseable_lines_are_dead_letters_and_not_fatal(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"\xff\xfe broken\n" + line(1) + line(2)[:-2] + b"\n")

    summary = command.summary(str(file))

    assert (summary["sent"], summary["unparseable"]) == (1, 2)
    letters = command.dead_letters()
    assert [(value, headers["line"]) for value, headers in letters] == [
        (b"\xff\xfe broken", b"1"),
        (line(2)[:-2].replace(b"10.0.2.1", b"10.0.2.0"), b"3"),
    ]


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_a_file_that_cannot_be_read_is_named_before_anything_is_imported(
    command: Command, tmp_path: Path, name: str
) -> None:
    good = tmp_path / "good.log"
    good.write_bytes(line(1))

    finished = command.run(str(good), str(tmp_path / name))

    assert finished.returncode == 1
    assert str(tmp_path) in finished.stderr
    assert "Traceback" not in finished.stderr
    assert command.clicks() == []


def test_the_clients_behind_a_proxy_are_imported_once_it_is_said_that_it_is_trusted(command: Command) -> None:
    lines = b"".join(line(0).rstrip() + b' "198.51.%d.7"\n' % number for number in range(3))

    asked = command.run("-", stdin=lines)
    sent_before = command.clicks()
    meant = command.run("-", "--trusted-proxy", "10.0.0.0/8", stdin=lines)

    assert (asked.returncode, sent_before) == (1, [])
    assert "say --trusted-proxy 10.0.0.1" in asked.stderr
    assert "read as nginx_main" in meant.stderr
    assert {click.ip for click in command.clicks()} == {"198.51.0.0", "198.51.1.0", "198.51.2.0"}


def test_a_host_that_nothing_names_is_asked_for_before_anything_is_sent(command: Command) -> None:
    nameless = Command(command.stack, command.store, domain=())

    asked = nameless.run("-", stdin=line(1))
    named = nameless.run("-", stdin=b"Shop.Example:443 " + line(1))

    assert asked.returncode == 1
    assert "which host is the shop's?" in asked.stderr
    assert (named.returncode, [click.url for click in command.clicks()]) == (0, ["https://shop.example/page"])
