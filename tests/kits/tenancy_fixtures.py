"""A database of tenants for a module of tests, and what runs work in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ops.stack import Stack

if TYPE_CHECKING:
    from tests.kits.tenancy import Run

# The kit imports the whole API: not for those who run the tests of a function.


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[str]:
    """The name of a provisioned database that no other module has."""
    from tests.kits.tenancy import tenancy_database

    with tenancy_database(stack) as name:
        yield name


@pytest.fixture(scope="module")
def run(stack: Stack, database: str) -> Run:
    """Runs work on empty collections of that database, in an event loop of its own."""
    from tests.kits.tenancy import run_in_world

    return lambda work: run_in_world(stack.urls.mongo, database, work)
