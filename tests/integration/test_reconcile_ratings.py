"""``marketplace reconcile-ratings`` on a database with reviews."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from marketplace.collections import PRODUCTS
from ops.cli import make_app
from ops.stack import Stack
from tests.kits.products import product, put_products
from tests.kits.tenancy import World, run_in_world, tenancy_database

Command = Callable[..., Result]


@pytest.fixture
def command(stack: Stack, tmp_path: Path) -> Iterator[tuple[Command, str]]:
    """Runs the command on a database where one product of two has two stars too many; gives that product's id, too."""
    found: dict[str, Any] = {}
    with tenancy_database(stack) as database:

        async def work(world: World) -> None:
            await world.store("shop", {"olga": "owner"})
            await world.store("other", {"otto": "owner"})
            await world.user("ann")
            right, wrong = product("Mug"), product("\x1b[2JCup")
            await put_products(world.client, world.database, [right, wrong])
            for sold in (right, wrong):
                await world.shopping.reviews.write("ann", sold.id, 5, "Good")
            found["wrong"] = wrong.id
            await world.client[database][PRODUCTS.name].update_one({"_id": wrong.id}, {"$inc": {"stars.1": 2}})

        run_in_world(stack.urls.mongo, database, work)

        def run(*arguments: str) -> Result:
            names: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MARKETPLACE_")}
            own = {
                "MARKETPLACE_DATA": str(tmp_path),
                "MARKETPLACE_MONGO_URL": stack.urls.mongo,
                "MARKETPLACE_DATABASE": database,
            }
            whole = ["reconcile-ratings", *arguments]
            return CliRunner().invoke(make_app(whole), whole, env={**names, **own})

        yield run, found["wrong"]


def test_wrong_stars_are_named_with_exit_code_1_until_they_are_put_right(command: tuple[Command, str]) -> None:
    run, wrong = command
    said = run()
    assert said.exit_code == 1
    assert f"({wrong}) has 2 0 0 0 1, counted 0 0 0 0 1" in said.stdout
    assert "\x1b" not in said.stdout
    assert run("--store", "other").exit_code == 0
    assert "no store 'othr'; there are: other, shop" in str(run("--store", "othr").exception)
    repaired = run("--repair", "--json")
    assert repaired.exit_code == 0
    assert [(each["product"], each["counted"]) for each in json.loads(repaired.stdout)["wrong"]] == [
        (wrong, [0, 0, 0, 0, 1])
    ]
    done = run("--store", "shop")
    assert (done.exit_code, done.stdout) == (0, "The stars of all products are those of their reviews.\n")
