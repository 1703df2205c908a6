"""Known clicks in real tables, once for all tests of the query layer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.insights import Insights
from ops.stack import Stack
from tests.kits.insights import SEED, Known, World, empty_tables, fill, known_log


@pytest.fixture(scope="session")
def world(stack: Stack) -> Iterator[World]:
    """Around every change of clocks and calendars, in three stores."""
    log = known_log(SEED)
    with empty_tables(stack.urls.clickhouse) as clickhouse:
        fill(clickhouse, log)
        yield World(clickhouse, Insights(clickhouse), Known(log))
