"""``marketplace accounts grant`` and ``revoke`` on a real Mongo, and the lines about a plan that name them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from connectors.errors import Refused
from connectors.mongo.client import connect
from marketplace.identity.tenancy import LimitReached
from ops.cli import expected_errors, make_app
from ops.stack import Stack

EMAIL = "ann@shop.example"
GRANT = ("accounts", "grant", EMAIL, "premium")
LIFT = f"marketplace {' '.join(GRANT)}"
REVOKE = ("accounts", "revoke", EMAIL, "premium")

Run = Callable[..., str]


@pytest.fixture
def run(stack: Stack) -> Iterator[Run]:
    """The command in this process, on a Mongo with one account; what it refuses is raised."""
    client, database = connect(stack.urls.mongo), f"plans_{uuid.uuid4().hex[:8]}"
    account = {"_id": "ann", "email": EMAIL, "email_key": EMAIL, "name": "Ann", "password_hash": "", "grants": []}
    client[database]["users"].insert_one(
        {**account, "security_stamp": 1, "created_at": 1, "admin": False, "banned": False}
    )
    client[database].create_collection("memberships")
    environment = {"MARKETPLACE_MONGO_URL": stack.urls.mongo, "MARKETPLACE_DATABASE": database}

    def command(*arguments: str) -> str:
        done = CliRunner().invoke(make_app(arguments[:1]), arguments, env=environment)
        if isinstance(done.exception, expected_errors()):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    try:
        yield command
    finally:
        client.drop_database(database)
        client.close()


def test_a_plan_is_given_without_an_admin_until_a_day_or_for_good_and_ended_at_once(run: Run) -> None:
    assert "has the premium plan until 2999-01-01T00:00 UTC: 10 stores" in run(*GRANT, "--until", "2999-01-01")
    assert "has the premium plan already until 2999" in run(*GRANT, "--until", "2998-01-01")
    assert "has the premium plan: 10 stores, 1,100 days of history, CSV." in run(*GRANT)
    assert "has the premium plan already." in run(*GRANT)
    assert json.loads(run(*GRANT, "--json")) == {"email": EMAIL, "plan": "premium"}
    assert "has the free plan now: 1 store, 90 days of history, no CSV. Nothing was deleted." in run(*REVOKE)
    assert "has no premium plan; nothing was changed." in run(*REVOKE)


def test_a_plan_that_is_none_or_is_over_before_it_begins_is_refused(run: Run) -> None:
    with pytest.raises(Refused, match="choose from premium"):
        run("accounts", "grant", EMAIL, "gold")
    with pytest.raises(Refused, match="that is past"):
        run(*GRANT, "--until", f"{time.gmtime().tm_year - 1}-01-01")


def test_lines_about_the_bounds_of_a_plan_name_the_command_while_it_helps(run: Run) -> None:
    run("stores", "create", "first")
    bounded = run("stores", "owner", "first", EMAIL)
    with pytest.raises(LimitReached, match="the plan includes 1 store") as refused:
        run("stores", "create", "second", "--owner", EMAIL)
    run(*GRANT)

    assert "Its plan is free: 1 store, 90 days of history, no CSV." in bounded
    assert LIFT in bounded
    assert f"'{LIFT}' lifts that" in str(refused.value)
    run("stores", "create", "second", "--owner", EMAIL)
    run("stores", "create", "third")
    assert "Its plan" not in run("stores", "owner", "third", EMAIL)
