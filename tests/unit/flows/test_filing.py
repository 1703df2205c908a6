"""Under which hour an event's copies are looked for."""

from __future__ import annotations

import numpy as np
import pytest

from flows.clicks.state.click_page import HOUR_MS
from flows.clicks.steps.dedupe import filed_under
from tests.kits.clicks import event, ms, read_values

NOW = ms("2025-03-12T10:20:00")
YEAR_MS = 365 * 24 * HOUR_MS


def filed(occurred: int | None, origin: str = "web", number: int = 0, received: int = NOW) -> int:
    fields = {**event(occurred), "received_at_ms": received, "origin": origin, "key": f"{number:016x}"}
    columns, _ = read_values([fields])
    hours = filed_under(columns)
    assert hours.dtype == np.int64
    return int(hours[0])


def test_an_event_is_filed_under_the_hour_of_its_own_clock() -> None:
    assert filed(NOW - 3 * HOUR_MS) == NOW // HOUR_MS - 3


def test_an_event_without_a_time_is_filed_under_its_receipt() -> None:
    assert filed(None) == NOW // HOUR_MS


def test_an_old_import_is_filed_under_its_own_hour() -> None:
    assert filed(NOW - 10 * YEAR_MS, origin="import") == (NOW - 10 * YEAR_MS) // HOUR_MS


def test_wild_clocks_share_few_hours_however_many_there_are() -> None:
    hours = {filed(NOW + at * YEAR_MS // 10, number=at) for at in range(1, 2_000)}
    assert len(hours) <= 64
    assert max(hours) < 64


def test_a_copy_of_an_event_with_a_wild_clock_is_filed_with_it() -> None:
    assert filed(NOW + 50 * YEAR_MS, number=77) == filed(NOW + 50 * YEAR_MS, number=77) == 77 % 64


@pytest.mark.parametrize("side", [-1, 1])
def test_a_clock_is_wild_when_it_is_more_than_eight_days_off(side: int) -> None:
    most = 8 * 24 * HOUR_MS

    assert filed(NOW + side * most, number=77) == (NOW + side * most) // HOUR_MS
    assert filed(NOW + side * (most + 1), number=77) == 77 % 64


def test_the_first_millisecond_of_all_is_a_time() -> None:
    assert filed(0, received=10 * HOUR_MS) == 0
