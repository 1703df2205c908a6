"""Random logs in which everything collides: few visitors and targets, times at the edges of every rule."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from flows.clicks.processor import DEFAULT_PAGE_BYTES
from ops.oracle import LogRecord
from tests.kits.clicks import CHROME, GOOGLEBOT, SAFARI, STORES, as_bytes, event, ms, visitor_of
from tests.kits.depth import CHAOS_SEEDS

EXPLORE: Final = os.environ.get("MARKETPLACE_TEST_EXPLORE", "")
"""Unset: the same examples in every run. A number: that many new ones."""


_FEW: Final = os.environ.get("HYPOTHESIS_PROFILE") == "mutants"
"""Fewer examples: thousands of mutations are looked at."""


def examples(count: int) -> settings:
    """A profile of ``count`` examples, or of what ``MARKETPLACE_TEST_EXPLORE`` says."""
    return settings(
        max_examples=int(EXPLORE or (count // 5 if _FEW else count)),
        derandomize=not EXPLORE,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def seeds(count: int) -> range:
    """So many of the fixed seeds in ``make chaos``, fewer in every run; exploring begins where they end."""
    if EXPLORE:
        return range(count, count + int(EXPLORE))
    if CHAOS_SEEDS >= 3:
        return range(count)
    return range(count // 8 if _FEW else 2 * count // 5)


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

RARELY: Final = (False,) * 7 + (True,)

Pick = Callable[[Sequence[Any]], Any]
"""Takes one of several: Hypothesis does, which can shrink what it found, or plain chance, which repeats itself less."""


def make_event(pick: Pick, anchor: int) -> dict[str, Any]:
    """A readable event not far from a moment."""
    store = pick(sorted(STORES))
    when = anchor + sum(pick(STEPS) for _ in range(pick((0, 1, 2))))
    delay = pick(DELAYS) if pick(RARELY) else pick((0, 1, 2_500))
    fields: dict[str, Any] = {
        "store": store,
        "visitor": visitor_of(store, pick((0, 1))),
        "received_at_ms": when + delay,
        "event_id": pick("abcd"),
        "type": pick(("view", "click", "event")),
        "product": pick(("", "p1")),
        "url": pick(URLS),
        "user_agent": pick((CHROME, CHROME, SAFARI, GOOGLEBOT)),
        "ip": pick(("", "81.2.69.0", "2001:db8::")),
        "automated": pick(RARELY),
    }
    if pick(RARELY):
        fields |= {"target": "buy", "origin": "import"}
    if pick((False, True)):
        fields["referrer"] = pick(("https://www.google.com/", "https://blog.example/a", "https://alpha.example/"))
    if fields["type"] == "event":
        fields |= {"name": "add_to_cart", "properties": pick((None, {"size": "M", "colour": "red"}, {"size": "L"}))}
    if pick(RARELY):
        fields |= pick(({"opted_out": True}, {"ip": "203.0.113.0"}))
    clock = pick(("none", "right", "right", "right", "skewed", "skewed", "future"))
    if clock == "none":
        return event(**fields)
    if clock == "skewed":
        skew = pick(SKEWS)
        return event(max(0, when + skew), **fields, sent_at_ms=max(0, when + delay + skew))
    return event(when + (86_400_000 if clock == "future" else 0), **fields)


def make_log(pick: Pick, kinds: Sequence[str], partitions: int) -> list[LogRecord]:
    """A record of each kind (``new``, ``copy``, ``broken``), all partitions in one order."""
    anchor = pick(ANCHORS)
    sent: list[dict[str, Any]] = []
    offsets: dict[int, int] = {}
    log: list[LogRecord] = []
    for kind in kinds:
        if kind == "broken":
            value = pick(BROKEN)
        else:
            fields = _copy(pick, sent) if kind == "copy" and sent else make_event(pick, anchor)
            sent.append(fields)
            value = as_bytes(fields)
        partition = pick(range(partitions))
        offsets[partition] = offsets.get(partition, -1) + pick((1, 1, 1, 5))
        log.append(LogRecord(partition, offsets[partition], anchor + pick(STEPS), value))
    return log


def _copy(pick: Pick, sent: list[dict[str, Any]]) -> dict[str, Any]:
    # A retry: the same event and key, sent and received again later.
    copied = dict(pick(sent))
    copied["received_at_ms"] += pick((0, 1, 3_600_000, 7_200_000))
    if "sent_at_ms" in copied:
        copied["sent_at_ms"] += pick((0, 1, 3_600_000))
    return copied


KINDS: Final = ("new",) * 6 + ("copy",)


@st.composite
def logs(draw: st.DrawFn, max_records: int = 50, partitions: int = 1, broken: bool = True) -> list[LogRecord]:
    """Logs as Hypothesis finds them."""

    def pick(choices: Sequence[Any]) -> Any:
        return draw(st.sampled_from(choices))

    kinds = st.sampled_from(KINDS + ("broken",) * broken)
    least = pick((1, 5, 15, 30))
    return make_log(pick, draw(st.lists(kinds, min_size=least, max_size=max_records)), partitions)


sizes = st.lists(st.sampled_from([1, 2, 3, 7, 20]), min_size=1, max_size=4)


@dataclass(frozen=True)
class Plan:
    """A log and what is done with it, all from one seed."""

    log: list[LogRecord]
    sizes: list[int]
    crashes: list[int]
    epoch: int
    page_bytes: int


def seeded_plan(seed: int, partitions: int = 1) -> Plan:
    """Equal seeds give equal plans."""
    chance = random.Random(seed)
    kinds = [chance.choice((*KINDS, "broken")) for _ in range(chance.choice((5, 25, 80)))]
    return Plan(
        log=make_log(chance.choice, kinds, partitions),
        sizes=[chance.choice((1, 2, 3, 7, 20)) for _ in range(3)],
        crashes=[chance.choice((0, 1, 2, 3, 4, 4, 4)) for _ in range(chance.choice((3, 12)))],
        epoch=chance.choice((1, 1, 2, 3)),
        page_bytes=chance.choice((1, DEFAULT_PAGE_BYTES)),
    )


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
    clock = chance.choice(("none", "right", "right", "skewed"))
    if clock == "none":
        return event(**fields)
    if clock == "skewed":
        return event(now - delay - 86_400_000, **fields, sent_at_ms=now - 86_400_000)
    return event(now - delay, **fields)
