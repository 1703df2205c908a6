"""A browser and a dashboard with known clicks, for the modules that look at it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from connectors.clickhouse.client import ClickHouse
from connectors.insights import Insights
from connectors.mongo.client import connect
from ops.stack import Stack
from tests.kits.dashboard import (
    PATIENCE_MS,
    SHOPS,
    chromium,
    chromium_path,
    dashboard,
    environment_of,
    fill_wide,
    save_stores,
    teahouse_log,
)
from tests.kits.insights import empty_tables, fill
from tests.kits.pages import HOSTS, Site, site

WIDE_PAGES = 10_050


@dataclass
class Shown:
    """A dashboard, and who knows what it should show."""

    url: str
    clickhouse: ClickHouse
    insights: Insights


# Not for the whole session: Playwright's event loop in this thread would be in the way of tests that have their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium; skips where there is none."""
    path = chromium_path()
    expect.set_options(timeout=PATIENCE_MS)
    if path is None:
        pytest.skip("no chromium on this machine; 'make setup' installs it as root where apt-get is (chromium)")
    with chromium(path) as running:
        yield running


@pytest.fixture(scope="module")
def shown(browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A dashboard of three shops: a small one with known clicks, one with many pages, one in which nothing happened."""
    with empty_tables(stack.urls.clickhouse) as clickhouse:
        fill(clickhouse, teahouse_log(int(time.time() * 1000)), SHOPS)
        fill_wide(clickhouse, WIDE_PAGES)
        with stores_saved(stack, clickhouse.database):
            folder = tmp_path_factory.mktemp("dashboard")
            with dashboard(environment_of(stack, clickhouse.database), folder) as url:
                yield Shown(url, clickhouse, Insights(clickhouse))


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    """The name of a database that is not there yet, and gone afterwards."""
    name = f"dashboard_{uuid.uuid4().hex}"
    yield name
    client = connect(stack.urls.mongo)
    client.drop_database(name)
    client.close()
    ClickHouse(stack.urls.clickhouse, name).command(f"DROP DATABASE IF EXISTS {name}")


@contextmanager
def stores_saved(stack: Stack, database: str) -> Iterator[None]:
    """The shops in a database of their own, for the time being."""
    save_stores(stack, database, SHOPS)
    yield
    client = connect(stack.urls.mongo)
    client.drop_database(database)
    client.close()


@pytest.fixture(scope="module")
def own_pages() -> Iterator[Site]:
    """Those of a module's tests."""
    with site() as running:
        yield running


@pytest.fixture(scope="module")
def names() -> Iterator[Browser]:
    """A browser to which this machine is every host of ``.example``."""
    path = chromium_path()
    if path is None:
        pytest.skip("no chromium on this machine; 'make setup' installs it as root where apt-get is (chromium)")
    with chromium(path, HOSTS) as running:
        yield running


@pytest.fixture
def own(own_pages: Site) -> Site:
    """Somebody's own pages, none so far, and the collector that they send to."""
    own_pages.clear()
    return own_pages
