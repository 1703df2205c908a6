"""``marketplace stores`` on the stack: keys are shown once, and only their hashes are kept."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from connectors.errors import Refused
from connectors.mongo.client import connect
from connectors.mongo.store_directory import find_by_import_key, find_by_write_key
from connectors.mongo.stores import MongoStores
from marketplace.goals import InvalidGoal
from marketplace.stores import InvalidStore, hash_write_key
from ops.cli import expected_errors, make_app
from ops.stack import Stack
from runtime.ports import free_ports
from tests.kits.commands import run_command

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
        return run_command("stores", *arguments, cwd=tmp_path, env=environment)

    return run


@pytest.fixture
def stores(stack: Stack, tmp_path: Path) -> Command:
    return command(tmp_path, stack.urls.mongo, "marketplace")


@dataclass
class InProcess:
    """The same in this process: to start one takes longer than the command."""

    mongo_url: str
    database: str

    def __call__(self, *arguments: str) -> str:
        """What a command prints; its refusal is raised."""
        environment = {"MARKETPLACE_MONGO_URL": self.mongo_url, "MARKETPLACE_DATABASE": self.database}
        done = CliRunner().invoke(make_app(["stores"]), ["stores", *arguments], env=environment)
        if isinstance(done.exception, expected_errors()):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture
def quickly(stack: Stack) -> InProcess:
    return InProcess(stack.urls.mongo, "marketplace")


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


def test_goals_are_listed_added_and_removed(quickly: InProcess) -> None:
    slug = f"goals-{uuid.uuid4().hex[:8]}"
    quickly("create", slug)
    assert "Put into the cart" in quickly("goals", "list", slug)
    properties = ("--property", "size=L", "--property", "eq=a=b")
    added = quickly("goals", "add", slug, "Large", "--event", "add_to_cart", *properties)
    assert f"report --store {slug} --goals" in added
    with pytest.raises(InvalidStore, match="goal 'Large': there is one of that name already"):
        quickly("goals", "add", slug, "Large", "--page", "/")
    quickly("goals", "remove", slug, "Paid")
    listed = json.loads(quickly("goals", "list", slug, "--json"))["goals"]
    assert [goal["name"] for goal in listed] == ["Put into the cart", "Began a checkout", "Large"]
    assert listed[-1]["properties"] == {"size": "L", "eq": "a=b"}
    with pytest.raises(InvalidStore, match="has no goal 'Paid'"):
        quickly("goals", "remove", slug, "Paid")


def test_settings_are_changed_where_they_are_named_and_nowhere_else(quickly: InProcess) -> None:
    slug = f"set-{uuid.uuid4().hex[:8]}"
    quickly("create", slug, "--domain", "a.example", "--block", "192.0.2.0/24")
    wanted = ("--title", " Mugs ", "--timezone", "Asia/Kathmandu", "--domain", "b.example")
    settings = {
        "store": slug, "title": "Mugs", "timezone": "Asia/Kathmandu", "domains": ["b.example"],
        "blocked_networks": ["192.0.2.0/24"], "honour_opt_out": True, "payment_hosts": [], "ignored_referrers": [],
        "source_rules": [], "trailing_slash": "keep", "page_case": "keep",
    }  # fmt: skip
    assert json.loads(quickly("set", slug, *wanted, "--json")) == settings
    links = ("--payment-host", "WWW.Pay.example", "--ignored-referrer", "login.example", "--page-case", "lower")
    rules = ("--source-rule", "referrer:partner.example=Partner/affiliate", "--source-rule", "utm_source:a=b=c")
    quickly("set", slug, *links, *rules, "--count-opted-out")
    assert json.loads(quickly("show", slug, "--json")) == settings | {
        "payment_hosts": ["pay.example"], "ignored_referrers": ["login.example"], "page_case": "lower",
        "honour_opt_out": False,
        "source_rules": [
            {"match": "referrer", "value": "partner.example", "source": "partner", "medium": "affiliate"},
            {"match": "utm_source", "value": "a=b", "source": "c", "medium": ""},
        ],
    }  # fmt: skip
    assert "source rules: referrer:partner.example=partner/affiliate, utm_source:a=b=c" in quickly("show", slug)
    assert "blocked networks: none" in quickly("set", slug, "--block", "")
    wrongs: tuple[list[str], ...] = (
        ["--timezone", "Mars"], ["--domain", "https://x"], ["--block", "all"], ["--title", " "], [],
        ["--payment-host", "b.example"], ["--source-rule", "partner"], ["--source-rule", "page:/x=y"],
        ["--ignored-referrer", "pay.example"],
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(InvalidStore):
            quickly("set", slug, *wrong)


def test_a_store_is_deleted_after_a_yes_and_the_receipt_says_what_went(
    stack: Stack, bare: tuple[MongoClient[dict[str, Any]], str]
) -> None:
    client, database = bare
    stores = InProcess(stack.urls.mongo, database)
    stores("create", "mugs", "--title", "Mugs")
    client[database]["memberships"].insert_one({"_id": "mugs:ann", "store": "mugs", "user": "ann", "role": "owner"})
    client[database]["api_keys"].insert_one({"_id": "k", "store": "mugs"})
    with pytest.raises(Refused, match=r"^nothing was deleted, as nobody can be asked here: give --yes to delete mugs"):
        stores("delete", "mugs")
    assert [store["slug"] for store in json.loads(stores("list", "--json"))["stores"]] == ["mugs"]
    before = client[database]["stores"].find_one({"_id": "mugs"})
    receipt = json.loads(stores("delete", "mugs", "--yes", "--json"))
    assert receipt.pop("at")
    assert receipt == {"slug": "mugs", "title": "Mugs", "members": 1, "invitations": 0, "api_keys": 1}
    assert json.loads(stores("list", "--json")) == {"stores": []}
    after = client[database]["stores"].find_one({"_id": "mugs"})
    assert before is not None
    assert after is not None
    assert after["visitor_secret"] != before["visitor_secret"]


@pytest.mark.parametrize("patterns", [[], ["--page", "/", "--event", "x"], ["--page", "thanks"]])
def test_a_goal_that_is_not_clear_is_refused(patterns: list[str]) -> None:
    with pytest.raises(InvalidGoal, match="goal 'G': "):
        InProcess("mongodb://127.0.0.1:1/?directConnection=true", "none")("goals", "add", "shop", "G", *patterns)


def test_a_key_that_is_replaced_says_which_pages_stop_and_a_tag_has_the_collectors_address(
    quickly: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = f"keys-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("MARKETPLACE_API_COLLECTOR_URL", "https://stats.shop.example/")
    made, replaced = quickly("create", slug), quickly("key", slug)
    assert f"{slug} is open." in made
    assert "is open" not in replaced
    assert "The old one stops working within seconds, and with it the key in the tag" in replaced
    assert all('src="https://stats.shop.example/m.js"' in said for said in (made, replaced))


def test_a_zone_that_changes_says_that_what_is_counted_stays(quickly: InProcess) -> None:
    slug = f"zone-{uuid.uuid4().hex[:8]}"
    quickly("create", slug, "--timezone", "Europe/Berlin")
    changed, same = (quickly("set", slug, "--timezone", "America/New_York") for _ in range(2))
    assert "What is counted stays in the days of Europe/Berlin" in changed
    assert "What is counted" not in same


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


def test_a_store_of_the_command_has_no_owner_until_one_is_named(
    stack: Stack, tmp_path: Path, bare: tuple[MongoClient[dict[str, Any]], str]
) -> None:
    client, database = bare
    stores = command(tmp_path, stack.urls.mongo, database)
    for name in ("users", "memberships"):
        client[database].create_collection(name)
    assert "marketplace stores owner" not in stores("create", "before").stdout, "anybody here sees it"
    for name in ("ann", "bob"):
        client[database]["users"].insert_one(account(name))

    created = stores("create", "first").stdout
    assert "Nobody owns it, so nobody sees it on the dashboard." in created
    assert "marketplace stores owner first EMAIL" in created
    assert list(client[database]["memberships"].find()) == []
    assert [each["owners"] for each in json.loads(stores("list", "--json").stdout)["stores"]] == [[], []]
    assert "nobody" in stores("list").stdout
    assert stores("owner", "first", "Ann@Shop.example").stdout.startswith("ann@shop.example owns first.\n")
    assert json.loads(stores("create", "second", "--owner", "bob@shop.example", "--json").stdout)["store"] == "second"
    assert set(json.loads(stores("create", "apart", "--json").stdout)) == {"store", "write_key"}
    owners = {(each["store"], each["user"], each["role"]) for each in client[database]["memberships"].find()}
    assert owners == {("first", "ann", "owner"), ("second", "bob", "owner")}

    again = stores("owner", "first", "ann@shop.example", "--json")
    assert json.loads(again.stdout) == {"store": "first", "owner": "ann@shop.example"}
    listed = {each["slug"]: each["owners"] for each in json.loads(stores("list", "--json").stdout)["stores"]}
    assert {slug: who for slug, who in listed.items() if who} == {
        "first": ["ann@shop.example"],
        "second": ["bob@shop.example"],
    }
    for arguments, said in (
        (("owner", "second", "ann@shop.example"), "ann@shop.example: the plan includes 1 store of one owner"),
        (("create", "third", "--owner", "ann@shop.example"), "ann@shop.example: the plan includes 1 store"),
        (("create", "third", "--owner", "nobody@shop.example"), "no account nobody@shop.example"),
        (("owner", "third", "ann@shop.example"), "no store third; there are: apart, before, first, second"),
        (("create", "admin"), "slug 'admin' is a name of the platform"),
    ):
        refused = stores(*arguments)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
        assert said in refused.stderr


def test_while_there_is_no_account_a_store_without_an_owner_is_no_fault(
    stack: Stack, tmp_path: Path, bare: tuple[MongoClient[dict[str, Any]], str]
) -> None:
    _, database = bare
    created = command(tmp_path, stack.urls.mongo, database)("create", "first")
    assert created.returncode == 0
    assert "owns" not in created.stdout


def test_the_slug_of_a_store_that_was_deleted_is_not_given_out_again(
    stack: Stack, tmp_path: Path, bare: tuple[MongoClient[dict[str, Any]], str]
) -> None:
    client, database = bare
    stores = command(tmp_path, stack.urls.mongo, database)
    assert stores("create", "gone").returncode == 0
    client[database]["stores"].update_one({"_id": "gone"}, {"$set": {"deleted_at": datetime.now(UTC)}})
    assert json.loads(stores("list", "--json").stdout) == {"stores": []}
    assert "no store gone; there are: none yet" in stores("key", "gone").stderr
    refused = stores("create", "gone")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "slug 'gone': it belonged to a store that was deleted" in refused.stderr


def account(name: str) -> dict[str, Any]:
    address = f"{name}@shop.example"
    return {
        "_id": name, "email": address, "email_key": address, "name": name, "password_hash": "hash", "created_at": 1,
        "admin": False, "banned": False, "security_stamp": 1, "grants": [],
    }  # fmt: skip
