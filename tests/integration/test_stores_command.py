"""``marketplace stores`` on the stack: keys are shown once, and only their hashes are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.mongo_stores import MongoStores, connect
from connectors.store_directory import find_by_import_key, find_by_write_key
from ops.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def stores(stack: Stack, tmp_path: Path) -> Command:
    urls = stack.urls
    named = {"KAFKA": urls.kafka, "MONGO": urls.mongo, "CLICKHOUSE": urls.clickhouse, "REDIS": urls.redis}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")},
        **{f"MARKETPLACE_{name}_URL": url for name, url in named.items()},
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
