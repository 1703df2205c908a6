from __future__ import annotations

from typing import Any

import msgspec
import pytest

from marketplace.clicks.collect import RefusedEvent, ValidEvent
from marketplace.clicks.history import read_history

NOW_MS = 1_750_000_000_000
DAY_MS = 86_400_000


def read(event: dict[str, Any], form: bytes = b"%s") -> ValidEvent | RefusedEvent:
    (result,) = read_history(
        form % msgspec.json.encode({"event_id": "a", "occurred_at": NOW_MS, **event}), NOW_MS
    ).results
    return result


@pytest.mark.parametrize("ahead_ms", [-400 * DAY_MS, -1, 0, 1, DAY_MS])
def test_history_may_lie_up_to_a_day_ahead_of_its_arrival(ahead_ms: int) -> None:
    taken = read({"occurred_at": NOW_MS + ahead_ms})

    assert isinstance(taken, ValidEvent)
    assert taken.occurred_at_ms == NOW_MS + ahead_ms


@pytest.mark.parametrize(("form", "path"), [(b"%s", ""), (b"[%s]", "[0]."), (b'{"events":[%s]}', "events[0].")])
@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        ({"occurred_at": NOW_MS + DAY_MS + 1}, "timestamp", "occurred_at"),
        ({"ip": "198.51.100.300"}, "field_value", "ip"),
        ({"ip": "x" * 65}, "field_length", "ip"),
    ],
)
def test_what_does_not_hold_is_named_where_it_stands(
    form: bytes, path: str, event: dict[str, Any], code: str, field: str
) -> None:
    refused = read(event, form)

    assert isinstance(refused, RefusedEvent)
    assert (refused.fault.code, refused.fault.path) == (code, path + field)


def test_an_event_is_the_same_whenever_it_is_sent_and_whoever_it_is_of() -> None:
    plain = read({})
    others = [read({"sent_at": 5}), read({"ip": "203.0.113.7"}), read({"ip": ""}), read({"user_agent": "Browser/1"})]

    assert isinstance(plain, ValidEvent)
    assert [other.canonical for other in others if isinstance(other, ValidEvent)] == [plain.canonical] * 4


def test_a_servers_clock_is_believed() -> None:
    for form in (b"%s", b'{"sent_at":7,"events":[%s]}'):
        taken = read({"sent_at": 5}, form)

        assert isinstance(taken, ValidEvent)
        assert (taken.occurred_at_ms, taken.sent_at_ms) == (NOW_MS, None)
