"""Random logs in which everything collides: few visitors and targets, times at the edges of every rule."""

from __future__ import annotations

import os
import random
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ops.oracle import LogRecord
from tests.clicks_kit import CHROME, GOOGLEBOT, SAFARI, STORES, as_bytes, event, ms, visitor_of

EXPLORE: Final = os.environ.get("MARKETPLACE_TEST_EXPLORE", "")
"""Unset: the same examples in every run. A number: that many new ones."""


def examples(count: int) -> settings:
    """A profile of ``count`` examples, or of what ``MARKETPLACE_TEST_EXPLORE`` says."""
    return settings(
        max_examples=int(EXPLORE or count),
        derandomize=not EXPLORE,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


ANCHORS: Final = tuple(
    ms(text)
    for text in (
        "2025-03-09T06:59:58",  # New York's clocks go forward at 07:00Z
        "2025-11-02T05:59:58",  # and back at 06:00Z
        "2025-04-05T14:59:58",  # Lord Howe's go back by half an hour at 15:00Z
        "2025-10-04T15:29:58",  # and forward at 15:30Z
        "2025-03-11T18:14:58",  # midnight in Kathmandu
        "2025-03-31T23:59:58",  # a month ends in UTC
    )
)
STEPS: Final = (0, 1, 1_999, 2_000, 2_001, 59_999, 900_000, 1_799_999, 1_800_000, 1_800_001, 3_600_000, 86_400_000)
DELAYS: Final = (0, 3_600_000, 7 * 86_400_000, 7 * 86_400_000 + 1, 30 * 86_400_000)
SKEWS: Final = (0, 1, -1, 86_400_000, -86_400_000, 40 * 365 * 86_400_000)
URLS: Final = (
    "",
    "https://alpha.example/a?utm_source=mail&utm_campaign=spring",
    "https://alpha.example/a%C3%A9%ff",
    "https://beta.example/.env",
)
BROKEN: Final = (
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    as_bytes(event())[:-1] + b', "extra": "\xff"}',
    as_bytes(event(visitor="0" * 15)),
    as_bytes(event(store="nobody")),
    as_bytes(event(received_at_ms=-1)),
)

RARELY: Final = st.integers(0, 7).map(lambda number: number == 7)


@st.composite
def events(draw: st.DrawFn, anchor: int) -> dict[str, Any]:
    """A readable event not far from a moment."""
    store = draw(st.sampled_from(sorted(STORES)))
    when = anchor + sum(draw(st.lists(st.sampled_from(STEPS), max_size=2)))
    delay = draw(st.sampled_from(DELAYS)) if draw(RARELY) else draw(st.sampled_from((0, 1, 2_500)))
    fields: dict[str, Any] = {
        "store": store,
        "visitor": visitor_of(store, draw(st.integers(0, 1))),
        "received_at_ms": when + delay,
        "event_id": draw(st.sampled_from("abcd")),
        "type": draw(st.sampled_from(["view", "click"])),
        "product": draw(st.sampled_from(["", "p1"])),
        "url": draw(st.sampled_from(URLS)),
        "user_agent": draw(st.sampled_from([CHROME, CHROME, SAFARI, GOOGLEBOT])),
        "ip": draw(st.sampled_from(["", "81.2.69.0", "2001:db8::"])),
        "automated": draw(RARELY),
    }
    if draw(RARELY):
        fields |= {"target": "buy", "referrer": "https://www.google.com/", "origin": "import"}
    if draw(RARELY):
        fields |= draw(st.sampled_from([{"opted_out": True}, {"ip": "203.0.113.0"}]))
    told = draw(st.sampled_from(["nothing", "truth", "truth", "truth", "skewed", "skewed", "future"]))
    if told == "nothing":
        return event(**fields)
    if told == "skewed":
        skew = draw(st.sampled_from(SKEWS))
        return event(max(0, when + skew), **fields, sent_at_ms=max(0, when + delay + skew))
    return event(when + (86_400_000 if told == "future" else 0), **fields)


@st.composite
def logs(draw: st.DrawFn, max_records: int = 50, partitions: int = 1, broken: bool = True) -> list[LogRecord]:
    """Records of all partitions in one order, some of them copies of earlier ones and some unreadable."""
    anchor = draw(st.sampled_from(ANCHORS))
    least = draw(st.sampled_from([1, 5, 15, 30]))
    kinds = ["new"] * 6 + ["copy"] + ["broken"] * broken
    sent: list[dict[str, Any]] = []
    offsets: dict[int, int] = {}
    log: list[LogRecord] = []
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=least, max_size=max_records)):
        if kind == "broken":
            value = draw(st.sampled_from(BROKEN))
        else:
            fields = _copy(draw, sent) if kind == "copy" and sent else draw(events(anchor))
            sent.append(fields)
            value = as_bytes(fields)
        partition = draw(st.integers(0, partitions - 1))
        offsets[partition] = offsets.get(partition, -1) + draw(st.sampled_from([1, 1, 1, 5]))
        log.append(LogRecord(partition, offsets[partition], anchor + draw(st.sampled_from(STEPS)), value))
    return log


def _copy(draw: st.DrawFn, sent: list[dict[str, Any]]) -> dict[str, Any]:
    # A retry: the same event and key, sent and received again later.
    copied = dict(draw(st.sampled_from(sent)))
    copied["received_at_ms"] += draw(st.sampled_from([0, 1, 3_600_000, 7_200_000]))
    if "sent_at_ms" in copied:
        copied["sent_at_ms"] += draw(st.sampled_from([0, 1, 3_600_000]))
    return copied


sizes = st.lists(st.sampled_from([1, 2, 3, 7, 20]), min_size=1, max_size=4)


def seeded_log(seed: int, records: int, partitions: int = 8) -> list[LogRecord]:
    """A long log of one day in March without Hypothesis: equal seeds give equal logs."""
    chance = random.Random(seed)
    sent: list[dict[str, Any]] = []
    values: list[tuple[int, bytes]] = []
    for number in range(records):
        luck = chance.random()
        if luck < 0.02:
            values.append((chance.randrange(partitions), chance.choice(BROKEN)))
            continue
        if luck < 0.07 and sent:
            fields = dict(chance.choice(sent[-200:]))
            fields["received_at_ms"] += chance.choice((0, 700, 3_600_000))
        elif luck < 0.14 and sent:
            fields = _again(sent[-1], chance.choice((0, 700, 1_999, 2_000)))
            sent.append(fields)
        else:
            fields = _seeded_event(chance, ANCHORS[0] + number * 20_000)
            sent.append(fields)
        values.append((int(fields["visitor"], 16) % partitions, as_bytes(fields)))
    offsets = [0] * partitions
    log = []
    for partition, value in values:
        log.append(LogRecord(partition, offsets[partition], ANCHORS[0], value))
        offsets[partition] += 1
    return log


def _again(fields: dict[str, Any], later_ms: int) -> dict[str, Any]:
    # The same target hit once more: another event with another id.
    times = {name: fields[name] + later_ms for name in fields if name.endswith("_at_ms")}
    rest = {name: value for name, value in fields.items() if name != "key" and name not in times}
    return event(times.pop("occurred_at_ms", None), **{**rest, **times, "event_id": fields["event_id"] + "+"})


def _seeded_event(chance: random.Random, now: int) -> dict[str, Any]:
    store = chance.choice(sorted(STORES))
    delay = chance.choice((0, 0, 5, 900, 900_000, 8 * 86_400_000))
    fields: dict[str, Any] = {
        "store": store,
        "visitor": visitor_of(store, chance.randrange(25)),
        "received_at_ms": now,
        "event_id": f"{chance.getrandbits(64):x}",
        "type": chance.choice(("view", "click")),
        "product": chance.choice(("", "", "p1", "p2")),
        "url": chance.choice(URLS),
        "user_agent": chance.choice((CHROME, CHROME, SAFARI, GOOGLEBOT, f"Browser/{chance.randrange(50)}.0 (X11)")),
        "ip": chance.choice(("", "81.2.69.0", "2001:db8::", "203.0.113.0")),
        "referrer": chance.choice(("", "https://www.google.com/", "https://news.example/")),
    }
    told = chance.choice(("nothing", "truth", "truth", "skewed"))
    if told == "nothing":
        return event(**fields)
    if told == "skewed":
        return event(now - delay - 86_400_000, **fields, sent_at_ms=now - 86_400_000)
    return event(now - delay, **fields)
