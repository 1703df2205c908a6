"""``marketplace stores`` on the stack: keys are shown once, and only their hashes are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from connectors.mongo.client import connect
from connectors.mongo.store_directory import find_by_import_key, find_by_write_key
from connectors.mongo.stores import MongoStores
from marketplace.stores import hash_write_key
from ops.stack import Stack
from runtime.ports import free_ports

WITHOUT_MONGO_SECONDS = 20.0  # four, and what a busy machine needs to start a command
ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


def command(tmp_path: Path, mongo_url: str, database: str) -> Command:
    """``marketplace stores`` that knows of Mongo and of nothing else."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")},
        "MARKETPLACE_MONGO_URL": mongo_url,
        "MARKETPLACE_DATABASE": database,
        "PYTHONPATH": str(ROOT),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops.cli", "stores", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def stores(stack: Stack, tmp_path: Path) -> Command:
    return command(tmp_path, stack.urls.mongo, "marketplace")


@pytest.fixture
def bare(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    """A Mongo in which nothing was ever made."""
    client, database = connect(stack.urls.mongo), f"bare_{uuid.uuid4().hex[:8]}"
    yield client, database
    client.drop_database(database)
    client.close()


def test_with_mongo_alone_listing_makes_nothing_and_creating_makes_what_keeps_stores_apart(
    stack: Stack, tmp_path: Path, bare: tuple[MongoClient[dict[str, Any]], str]
) -> None:
    client, database = bare
    stores = command(tmp_path, stack.urls.mongo, database)
    assert json.loads(stores("list", "--json").stdout) == {"stores": []}
    assert stores("key", "shop").returncode == stores("import-key", "shop").returncode == 1
    assert database not in client.list_database_names()

    created = json.loads(stores("create", "shop", "--json").stdout)["write_key"]
    client[database]["stores"].update_one({"_id": "shop"}, {"$set": {"plan": "gold"}})
    changed = json.loads(stores("key", "shop", "--json").stdout)["write_key"]

    saved = client[database]["stores"].find_one()
    assert saved is not None
    assert (saved["write_key_hash"], saved["plan"], saved["version"]) == (hash_write_key(changed), "gold", 2)
    assert created != changed
    assert "by_write_key" in client[database]["stores"].index_information()
    assert client[database].list_collection_names() == ["stores"]
    assert stores("create", "shop").returncode == 1


@pytest.mark.parametrize("arguments", [("list",), ("key", "shop"), ("create", "shop")])
def test_without_mongo_it_is_one_clear_line_within_seconds(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    stores = command(tmp_path, f"mongodb://127.0.0.1:{free_ports(1)[0]}/?directConnection=true", "marketplace")
    began = time.monotonic()

    done = stores(*arguments)

    assert time.monotonic() - began < WITHOUT_MONGO_SECONDS
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "Mongo did not answer" in done.stderr


def test_a_url_that_is_none_of_mongos_is_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    done = command(tmp_path, "http://127.0.0.1:1", "marketplace")("list")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "MARKETPLACE_MONGO_URL: this is no URL that begins with mongodb://" in done.stderr


def test_a_url_that_mongos_client_does_not_take_is_one_clear_line(tmp_path: Path) -> None:
    done = command(tmp_path, "mongodb://127.0.0.1:port", "marketplace")("list")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Mongo's URL cannot be used" in done.stderr


def test_an_import_key_is_made_rotated_and_taken_back(stack: Stack, stores: Command) -> None:
    slug = f"keys-{uuid.uuid4().hex[:8]}"
    write_key = json.loads(stores("create", slug, "--json").stdout)["write_key"]
    first = json.loads(stores("import-key", slug, "--json").stdout)["import_key"]
    said = stores("import-key", slug).stdout
    second = next(line.strip() for line in said.splitlines() if line.strip().startswith(f"import.{slug}."))
    client = connect(stack.urls.mongo)
    try:
        book = MongoStores(client, "marketplace")
        found = [find_by_import_key(book, key) for key in (first, second, write_key)]
        assert [store and store.slug for store in found] == [None, slug, None]
        assert find_by_write_key(book, write_key) == book.get(slug)
        assert f"stores import-key {slug} --revoke" in said

        assert json.loads(stores("import-key", slug, "--revoke", "--json").stdout)["import_key"] is None
        assert find_by_import_key(book, second) is None
        assert find_by_write_key(book, write_key) is not None
    finally:
        client.close()


def test_an_import_key_for_nobody_is_one_clear_line(stores: Command) -> None:
    done = stores("import-key", "nobody-at-all")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "no store nobody-at-all" in done.stderr
