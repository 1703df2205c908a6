"""The demo's traffic as requests, in the order in which they are sent; equal seeds make equal traffic."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

from ops.demo.traffic.people import Moment, Visitors
from ops.demo.traffic.season import Season, Timeline
from ops.demo.traffic.shops import SHOPS, Shop
from ops.demo.traffic.trouble import DAY_MS, KINDS, LIVE_ONLY, Scene, SceneMaker, from_the_office, plain

MAX_BATCH: Final = 200
"""The most events in one request of the demo."""

LIVE_DAYS: Final = 2.5
"""Older events go to the import endpoint: events that are sent days late would be too late for the collect endpoint."""

_NO_TIME: Final = -1
_SELLER: Final = "198.51.100.20"
_SELLER_AGENT: Final = "history-import/1.0"


@dataclass(frozen=True)
class Post:
    """One request to the collector.

    Attributes:
        shop: The shop whose key it has.
        events: The events, complete except for ``sent_at``, which is set when it is sent.
        ahead_ms: How far the client's clock is ahead; None if it sends no ``sent_at``.
        raw: A body that is sent instead of the events.
        encoding: ``gzip``, ``zstd`` or empty.
        tracked: Its last event is an ordinary one and will be in the facts: its freshness can be measured.
        due_ms: When live traffic sends it, epoch ms.
        history: It goes to the import endpoint; its events have their own addresses and user agents.
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
    history: bool = False

    @property
    def size(self) -> int:
        """The number of events that it counts as; a body that cannot be parsed is one."""
        return 1 if self.raw is not None else len(self.events)


@dataclass(order=True)
class _Waiting:
    turn: int
    number: int
    post: Post = field(compare=False)


class Traffic:
    """Generates requests.

    Args:
        seed: Equal seeds (and start times) make equal traffic.
        now_ms: The present, epoch ms; a backlog ends there.
        shops: The shops that are visited.
    """

    def __init__(self, seed: int, now_ms: int, shops: tuple[Shop, ...] = SHOPS) -> None:
        self._rng = random.Random(seed)
        self._now_ms, self._live_from_ms = now_ms, now_ms - int(LIVE_DAYS * DAY_MS)
        self._shops = shops
        self._visitors = {shop.name: Visitors(shop, self._rng) for shop in shops}
        self._season = Season(shops, now_ms)
        self._tour = [make for _, make in KINDS]
        self._rng.shuffle(self._tour)

    def backlog(self, events: int) -> Iterator[Post]:
        """Requests with exactly ``events`` events of the last thirty days, in about the order in which they happened.

        Every kind of trouble occurs at least once, so that small runs have them all.
        """
        waiting: list[_Waiting] = []
        batcher, timeline, made = HistoryBatcher(), Timeline(self._season), 0
        for turn in count():
            if made >= events:
                break
            at_ms, weights = timeline.after(made / events, self._rng)
            if at_ms >= self._live_from_ms:
                yield from batcher.flush()
            scene = self._scene(min(at_ms, self._now_ms), weights)
            _end_by(scene, self._now_ms)
            for late, post in self.requests(scene):
                heapq.heappush(waiting, _Waiting(turn + late, len(waiting) + turn, post))
            while waiting and made < events and waiting[0].turn <= turn:
                post = _at_most(heapq.heappop(waiting).post, events - made)
                made += post.size
                yield from batcher.add(post)
        yield from batcher.flush()

    def live(self, start_ms: int, batch: int = 4) -> list[Post]:
        """A visit that begins now, as requests of at most ``batch`` events, each with the time when it is due."""
        scene = self._scene(start_ms, self._season.weights(start_ms))
        return [
            replace(post, due_ms=max(start_ms, post.due_ms) + late * 1_000)
            for late, post in self.requests(scene, batch)
        ]

    def activity(self, at_ms: int) -> float:
        """How busy all shops are at a time, relative to their average."""
        return self._season.activity(at_ms)

    def _scene(self, at_ms: int, weights: list[float]) -> Scene:
        rng = self._rng
        shop = rng.choices(self._shops, weights=weights)[0]
        make: SceneMaker = rng.choices([k for _, k in KINDS], weights=[w for w, _ in KINDS])[0]
        is_live = at_ms >= self._live_from_ms
        if self._tour and rng.random() < 0.5:
            make = self._tour.pop()
            if make in LIVE_ONLY and not is_live:
                at_ms, is_live = self._live_from_ms + int(rng.random() * LIVE_DAYS * DAY_MS), True
        elif make in LIVE_ONLY and not is_live:
            make = plain
        if make is from_the_office and rng.random() < 0.7:
            shop = next((s for s in self._shops if s.blocks_office), shop)
        visitors = self._visitors[shop.name]
        visitors.campaign = self._season.campaign(shop, at_ms, rng.random())
        return replace(make(visitors, rng, at_ms), history=not is_live)

    def requests(self, scene: Scene, batch: int = 0) -> Iterator[tuple[int, Post]]:
        """A scene's requests, each with the number of requests by which it is delayed; ``batch`` bounds their size."""
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
            time_ms = scene.times.get(str(moment.event["event_id"]), moment.at_ms + clock.ahead_ms)
            events.append(moment.event if time_ms == _NO_TIME else {**moment.event, "occurred_at": max(time_ms, 0)})
        person, sender = visit.person, (visit.person.address, visit.person.user_agent)
        if scene.history:
            own = {"ip": person.address, "user_agent": person.user_agent}
            events, sender = [{**event, **own} for event in events], (_SELLER, _SELLER_AGENT)
        return Post(
            shop=visit.shop,
            address=sender[0],
            user_agent=sender[1],
            opted_out=person.opted_out,
            events=tuple(events),
            ahead_ms=clock.ahead_ms if clock.sends_time and not scene.history else None,
            history=scene.history,
            raw=scene.raw,
            encoding=self._rng.choices(("", "gzip", "zstd"), weights=(5, 4, 1))[0],
            tracked=scene.ordinary,
            due_ms=moments[0].at_ms,
        )


class HistoryBatcher:
    """Joins the history of a shop into large requests, as a seller's server would send it."""

    def __init__(self) -> None:
        self._pending: dict[str, Post] = {}

    def add(self, post: Post) -> Iterator[Post]:
        """Add a request; returns requests that are full, and those that are not joined at once."""
        if not post.history or post.opted_out or post.raw is not None:
            yield post
            return
        pending = self._pending.pop(post.shop.name, None)
        if pending is not None and pending.size + post.size > MAX_BATCH:
            yield pending
            pending = None
        joined = post if pending is None else replace(post, events=(*pending.events, *post.events))
        self._pending[post.shop.name] = joined

    def flush(self) -> Iterator[Post]:
        """The requests that are not full yet."""
        yield from self._pending.values()
        self._pending = {}


def until(posts: Iterator[Post], events: int) -> Iterator[Post]:
    """The next requests, until they have at least ``events`` events; later ones stay in the iterator."""
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
