"""The demo's traffic as requests, the same for the same seed: what a browser would send, and in which order."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ops.demo.people import Crowd, Moment
from ops.demo.shops import SHOPS, Shop
from ops.demo.trouble import DAY_MS, HOUR_MS, KINDS, Scene, SceneMaker

MAX_BATCH: Final = 200
"""The most events in one request of the demo."""

_SPAN_DAYS: Final = 2.5
_NO_TIME: Final = -1


@dataclass(frozen=True)
class Post:
    """One request to the collector.

    Attributes:
        shop: Whose write key it carries.
        events: The events, complete but for ``sent_at``, which is told when it leaves.
        ahead_ms: How far the client's clock is ahead; None when it does not tell ``sent_at``.
        raw: A body sent instead of the events.
        encoding: ``gzip``, ``zstd`` or empty.
        tracked: Its events are ordinary ones and will be in the facts: their way can be timed.
        due_ms: When live traffic sends it, epoch ms.
    """

    shop: Shop
    address: str
    user_agent: str
    opted_out: bool
    events: tuple[dict[str, Any], ...]
    ahead_ms: int | None
    raw: bytes | None = None
    encoding: str = ""
    tracked: bool = False
    due_ms: int = 0

    @property
    def size(self) -> int:
        """How many events it counts as; a body that cannot be read is one."""
        return 1 if self.raw is not None else len(self.events)


@dataclass(order=True)
class _Waiting:
    turn: int
    number: int
    post: Post = field(compare=False)


class Traffic:
    """Makes requests without end.

    Args:
        seed: Equal seeds (and start times) make equal traffic.
        now_ms: The present, epoch ms; a backlog ends there.
        shops: Whose.
    """

    def __init__(self, seed: int, now_ms: int, shops: tuple[Shop, ...] = SHOPS) -> None:
        self._rng = random.Random(seed)
        self._now_ms = now_ms
        self._shops = shops
        self._crowds = {shop.name: Crowd(shop, self._rng) for shop in shops}
        self._shares = [shop.share for shop in shops]
        self._tour = [make for _, make in KINDS]
        self._rng.shuffle(self._tour)

    def backlog(self, events: int) -> Iterator[Post]:
        """Exactly so many events of the last days, in about the order in which they happened.

        Every kind of trouble comes at least once early on, so that small runs have them all.
        """
        waiting: list[_Waiting] = []
        turn = sent = 0
        while sent < events:
            scene = self._scene(self._moment_in_span(sent / events))
            _end_by(scene, self._now_ms)
            for late, post in self.requests(scene):
                heapq.heappush(waiting, _Waiting(turn + late, len(waiting) + turn, post))
            while waiting and sent < events and waiting[0].turn <= turn:
                post = _at_most(heapq.heappop(waiting).post, events - sent)
                sent += post.size
                yield post
            turn += 1

    def live(self, start_ms: int) -> list[Post]:
        """A visit that begins now, as requests with the times at which they are due."""
        scene = self._scene(start_ms)
        return [
            replace(post, due_ms=max(start_ms, post.due_ms) + late * 1_000)
            for late, post in self.requests(scene, batch=4)
        ]

    def _scene(self, at_ms: int) -> Scene:
        rng = self._rng
        shop = rng.choices(self._shops, weights=self._shares)[0]
        make: SceneMaker = rng.choices([k for _, k in KINDS], weights=[w for w, _ in KINDS])[0]
        if self._tour and rng.random() < 0.5:
            make = self._tour.pop()
        if make.__name__ == "from_the_office" and rng.random() < 0.7:
            shop = next((s for s in self._shops if s.blocks_office), shop)
        return make(self._crowds[shop.name], rng, at_ms)

    def _moment_in_span(self, part: float) -> int:
        """A time in the last days; few come at night by UTC, and the last hour is full."""
        span_ms = _SPAN_DAYS * DAY_MS
        at_ms = self._now_ms - span_ms * (1 - part)
        phase = 2 * math.pi * ((at_ms / HOUR_MS) % 24 - 15) / 24
        return int(min(self._now_ms, at_ms + self._rng.gauss(math.sin(phase) * HOUR_MS, 20 * 60_000)))

    def requests(self, scene: Scene, batch: int = 0) -> Iterator[tuple[int, Post]]:
        """A scene's requests, each with how many requests later it is sent; ``batch`` bounds their events."""
        late = 0
        for part in scene.parts:
            for moments in _batches(part, batch or self._rng.choice((5, 12, 20, MAX_BATCH))):
                post = self._post(scene, moments)
                yield late, post
                for copy in range(1, scene.copies):
                    yield late + copy * scene.delayed, post
            late += scene.delayed

    def _post(self, scene: Scene, moments: list[Moment]) -> Post:
        visit = scene.visit
        clock = visit.clock
        events = []
        for moment in moments:
            told = scene.times.get(str(moment.event["event_id"]), moment.at_ms + clock.ahead_ms)
            events.append(moment.event if told == _NO_TIME else {**moment.event, "occurred_at": max(told, 0)})
        return Post(
            shop=visit.shop,
            address=visit.person.address,
            user_agent=visit.person.user_agent,
            opted_out=visit.person.opted_out,
            events=tuple(events),
            ahead_ms=clock.ahead_ms if clock.tells else None,
            raw=scene.raw,
            encoding=self._rng.choices(("", "gzip", "zstd"), weights=(5, 4, 1))[0],
            tracked=scene.ordinary,
            due_ms=moments[0].at_ms,
        )


def until(posts: Iterator[Post], events: int) -> Iterator[Post]:
    """The next requests, up to the one that makes it so many events; the rest stays."""
    while events > 0 and (post := next(posts, None)) is not None:
        events -= post.size
        yield post


def _end_by(scene: Scene, latest_ms: int) -> None:
    """Move a visit that would end in the future into the past."""
    beyond_ms = max(moment.at_ms for part in scene.parts for moment in part) - latest_ms
    if beyond_ms > 0:
        for moment in scene.visit.moments:
            moment.at_ms -= beyond_ms


def _at_most(post: Post, events: int) -> Post:
    return post if post.size <= events else replace(post, events=post.events[:events])


def _batches(moments: list[Moment], size: int) -> Iterator[list[Moment]]:
    for start in range(0, len(moments), size):
        yield moments[start : start + size]
