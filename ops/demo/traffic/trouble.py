"""Everything that goes wrong with real traffic: one function for each kind of trouble."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ops.demo.traffic.people import Clock, Moment, Visit, Visitors, with_address
from ops.demo.traffic.places import CRAWLERS, PROBES

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


@dataclass
class Scene:
    """A visit, and how its requests are sent.

    Attributes:
        parts: Its events, by request.
        delayed: The number of requests by which each further part is delayed.
        copies: How many times each request is sent.
        times: The client's claimed times of events (epoch ms) where they are not the true ones, by event id.
        raw: A body that is sent instead of the events.
        ordinary: All its events will be in the facts.
        history: It is so old that it is imported.
    """

    visit: Visit
    parts: list[list[Moment]]
    delayed: int = 0
    copies: int = 1
    times: dict[str, int] = field(default_factory=dict)
    raw: bytes | None = None
    ordinary: bool = False
    history: bool = False


def _whole(visit: Visit) -> Scene:
    return Scene(visit, [visit.moments])


def plain(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """An ordinary visit."""
    return replace(_whole(visitors.visit(at_ms)), ordinary=True)


def double_click(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """Buttons clicked twice, or three times, within two seconds."""
    visit = visitors.visit(at_ms)
    again = []
    for moment in visit.moments[: 1 + rng.randrange(3)]:
        for _ in range(1 + (rng.random() < 0.2)):
            repeated = {**moment.event, "event_id": f"{rng.getrandbits(96):024x}"}
            again.append(Moment(moment.at_ms + rng.randrange(60, 1_900), repeated))
    visit.moments = sorted(visit.moments + again, key=lambda moment: moment.at_ms)
    return _whole(visit)


def resent(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A client that lost the response sends the same events again, sometimes twice."""
    return replace(_whole(visitors.visit(at_ms)), copies=2 + (rng.random() < 0.3), delayed=rng.randrange(1, 60))


def reused_id(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A buggy client gives one id to two different events; both count."""
    visit = visitors.visit_pages(visitors.person(), at_ms, 3)
    other = {**visit.moments[0].event, "type": "click", "target": f"promo-{rng.randrange(100)}"}
    visit.moments.append(Moment(visit.moments[-1].at_ms + 5 * SECOND_MS, other))
    return _whole(visit)


def crawler(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A crawler that identifies itself, an HTTP library, or an empty user agent."""
    person = replace(visitors.stranger(), user_agent=rng.choice(CRAWLERS), visitor_id=None)
    return _whole(visitors.visit_pages(person, at_ms, rng.randrange(3, 30), pause_seconds=3))


def declared(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A browser under remote control that declares it."""
    visit = visitors.visit(at_ms)
    for moment in visit.moments:
        moment.event["automated"] = True
    return _whole(visit)


def hasty(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A bot with a browser's user agent that sends more than two events a second for a minute."""
    visit = visitors.visit_pages(visitors.stranger(), at_ms, rng.randrange(135, 160))
    at_ms -= at_ms % MINUTE_MS
    for step, moment in enumerate(visit.moments):
        moment.at_ms = at_ms + step * 350
        moment.event = _view_of(moment.event, visitors.url(f"/collections/all?page={step}"))
    return _whole(visit)


def _view_of(event: dict[str, Any], url: str) -> dict[str, Any]:
    """The event as a page view of another page."""
    kept = {name: value for name, value in event.items() if name not in ("target", "name", "properties")}
    return {**kept, "type": "view", "url": url}


def prober(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A vulnerability scanner with a browser's user agent."""
    visit = visitors.visit_pages(visitors.stranger(), at_ms, len(PROBES), pause_seconds=1)
    for moment, path in zip(visit.moments, PROBES, strict=True):
        moment.event = _view_of(moment.event, visitors.url(path))
    return _whole(visit)


def late_by_hours(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A phone that was offline for hours."""
    return _whole(visitors.visit(at_ms - rng.randrange(2 * HOUR_MS, 20 * HOUR_MS)))


def late_by_days(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """Days late, but still accepted."""
    return _whole(visitors.visit(at_ms - rng.randrange(1 * DAY_MS, 4 * DAY_MS)))


def too_late(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """More than seven days late: refused, and kept as dead letters."""
    return _whole(visitors.visit(at_ms - rng.randrange(8 * DAY_MS, 60 * DAY_MS)))


def bridged(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """Two visits that a late event joins into one."""
    visit = visitors.visit_pages(visitors.stranger(), at_ms, 5)
    for moment, minutes in zip(visit.moments, (0, 1, 45, 47, 22), strict=True):
        moment.at_ms = at_ms + minutes * MINUTE_MS
    return Scene(visit, [visit.moments[:4], visit.moments[4:]], delayed=rng.randrange(5, 80))


def wrong_clock(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A clock that is hours, days or decades off, of a client that sends ``sent_at``."""
    off = rng.choice((2 * HOUR_MS, -3 * HOUR_MS, 40 * DAY_MS, -400 * DAY_MS, 27 * 365 * DAY_MS, -20 * 365 * DAY_MS))
    visit = visitors.visit(at_ms)
    visit.clock = Clock(off + rng.randrange(-MINUTE_MS, MINUTE_MS), sends_time=True)
    return _whole(visit)


def from_the_future(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A clock that is ahead, of a client that sends no ``sent_at``: clamped to the time of receipt."""
    visit = visitors.visit(at_ms)
    visit.clock = Clock(7 * DAY_MS + rng.randrange(DAY_MS), sends_time=False)
    return _whole(visit)


def year_1970(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A clock that was never set."""
    return _in_the_year(visitors.visit_pages(visitors.person(), at_ms, 2), 90_000)


def year_2099(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A clock that was set to a date in the far future."""
    return _in_the_year(visitors.visit_pages(visitors.person(), at_ms, 2), 4_070_908_800_000)


def _in_the_year(visit: Visit, start_ms: int) -> Scene:
    visit.clock = Clock(sends_time=False)
    times = {m.event["event_id"]: start_ms + at * 9_000 for at, m in enumerate(visit.moments)}
    return replace(_whole(visit), times=times)


def opted_out(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A visitor who opted out of tracking."""
    visit = visitors.visit_pages(replace(visitors.stranger(), opted_out=True), at_ms, rng.randrange(1, 6))
    return _whole(visit)


def from_the_office(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """The seller's own staff; one of the shops blocks their network."""
    return _whole(with_address(visitors.visit(at_ms), f"203.0.113.{rng.randrange(1, 255)}"))


def timeless(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A pixel-like client that sends no times at all, and sends its events twice."""
    visit = visitors.visit_pages(visitors.stranger(), at_ms, 3)
    visit.clock = Clock(sends_time=False)
    times = {moment.event["event_id"]: -1 for moment in visit.moments}
    return replace(_whole(visit), times=times, copies=2, delayed=rng.randrange(1, 40))


def broken(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """Valid events among invalid ones in one request; the valid ones are accepted."""
    visit = visitors.visit_pages(visitors.person(), at_ms, rng.randrange(3, 8))
    for moment in rng.sample(visit.moments, 2):
        spoil, value = rng.choice(_SPOILED)
        moment.event[spoil] = value
    return _whole(visit)


def unreadable(visitors: Visitors, rng: random.Random, at_ms: int) -> Scene:
    """A body that is not JSON, or not even text."""
    visit = visitors.visit_pages(visitors.person(), at_ms, 1)
    return replace(_whole(visit), raw=rng.choice((b'{"event_id": "cut', b"\xff\xfe\x00", b"[]", b"[" * 5_000)))


_SPOILED: Final[tuple[tuple[str, Any], ...]] = (
    ("event_id", ""),
    ("event_id", None),
    ("event_id", 17),
    ("type", "purchase"),
    ("url", "https://long.example/" + "x" * 3_000),
    ("sampling", 0),
    ("automated", "yes"),
    ("visitor_id", "v" * 65),
)

SceneMaker = Callable[[Visitors, random.Random, int], Scene]

KINDS: Final[tuple[tuple[float, SceneMaker], ...]] = (
    (79.0, plain),
    (4.0, double_click),
    (3.0, resent),
    (0.8, reused_id),
    (2.0, crawler),
    (0.8, declared),
    (0.06, hasty),
    (0.5, prober),
    (2.0, late_by_hours),
    (1.0, late_by_days),
    (0.5, too_late),
    (0.8, bridged),
    (1.2, wrong_clock),
    (0.6, from_the_future),
    (0.3, year_1970),
    (0.3, year_2099),
    (1.5, opted_out),
    (1.0, from_the_office),
    (0.5, timeless),
    (0.8, broken),
    (0.3, unreadable),
)
"""The weight of each kind of visit, in percent or nearly so."""

LIVE_ONLY: Final = frozenset(
    {late_by_hours, late_by_days, too_late, wrong_clock, from_the_future, year_1970, year_2099, timeless}
)
"""Troubles with clocks: an import is trusted about its times."""
