"""When an event happened, from three clocks."""

from __future__ import annotations

from typing import Any

import pytest

from flows.clicks.steps.clock import correct
from marketplace.clicks.outcomes import OLDEST_MS
from tests.kits.clicks import event, ms, read_values

NOW = ms("2025-03-12T10:00:00")
DAY = 86_400_000
WEEK = 7 * DAY


def decide(occurred: int | None, sent: int | None = None, origin: str = "web", received: int = NOW) -> tuple[Any, ...]:
    fields = {**event(occurred), "received_at_ms": received, "sent_at_ms": sent, "origin": origin}
    times = correct(read_values([fields])[0])
    return tuple(column.tolist()[0] for column in (times.occurred_ms, times.corrected, times.clamped, times.late))


EXAMPLES = [
    ("no time of its own: the time of receipt", (None,), (NOW, False, False, False)),
    (
        "no time of its own, but a time of sending: still the time of receipt",
        (None, NOW - DAY),
        (NOW, False, False, False),
    ),
    ("a time and no more: believed", (NOW - 5_000,), (NOW - 5_000, False, False, False)),
    ("a time in 2099: clamped to receipt", (ms("2099-01-01T00:00:00"),), (NOW, False, True, False)),
    ("one millisecond ahead: clamped", (NOW + 1,), (NOW, False, True, False)),
    ("a day slow, three seconds old: corrected", (NOW - DAY - 3_000, NOW - DAY), (NOW - 3_000, True, False, False)),
    ("forty years fast: corrected", (NOW + 40 * 365 * DAY, NOW + 40 * 365 * DAY + 7), (NOW - 7, True, False, False)),
    ("in 1970, with its time of sending: corrected", (5, 10), (NOW - 5, True, False, False)),
    ("a right clock: nothing to correct", (NOW - 5, NOW), (NOW - 5, False, False, False)),
    ("sent before it happened: no age at all", (NOW - 5, NOW - 10), (NOW, False, False, False)),
    ("a minute off: mended, and not worth a note", (NOW - 60_000, NOW - 60_000), (NOW, False, False, False)),
    ("a millisecond more: noted", (NOW - 60_001, NOW - 60_001), (NOW, True, False, False)),
    ("exactly seven days old: in time", (NOW - WEEK,), (NOW - WEEK, False, False, False)),
    ("a millisecond more: late", (NOW - WEEK - 1,), (NOW - WEEK - 1, False, False, True)),
    (
        "seven days in the client's queue: late, however right the clock",
        (0, WEEK + 1),
        (NOW - WEEK - 1, True, False, True),
    ),
    ("in 1970 without a time of sending: late", (0,), (0, False, False, True)),
    ("an old import: in time", (NOW - 400 * DAY, None, "import"), (NOW - 400 * DAY, False, False, False)),
    ("an import has a server's clock: not corrected", (NOW - 9, NOW - 5, "import"), (NOW - 9, False, False, False)),
    ("an import from the future: clamped", (NOW + 9, None, "import"), (NOW, False, True, False)),
    ("an import of 2000-01-01: the oldest there is", (OLDEST_MS, None, "import"), (OLDEST_MS, False, False, False)),
    (
        "an import of the last millisecond of 1999: late",
        (OLDEST_MS - 1, None, "import"),
        (OLDEST_MS - 1, False, False, True),
    ),
]


@pytest.mark.parametrize(("told", "decided"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_the_clock_decides(told: tuple[Any, ...], decided: tuple[Any, ...]) -> None:
    assert decide(*told) == decided


def test_a_collector_that_woke_up_in_1970_is_late_too() -> None:
    assert decide(None, received=5) == (5, False, False, True)
