"""A day of busy shops as records of the topic, as the collector would write them; equal seeds give equal records.

Visitors, their networks and troubles (bots, double clicks, duplicates, wrong clocks, broken records) are those of the
demo, on the demo's daily curve; only the collector's HTTP is left out, and user agents have the long tail of real
traffic (``bench/agents.py``). Visits begin at random times and their events are interleaved, as in live traffic.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, Final

from bench.agents import Agents
from connectors.kafka.records import Record
from ingest.collect.stamping import stamp
from marketplace.clicks.collect import RefusedEvent, ValidEvent, read_event
from marketplace.clicks.events import encode_click
from marketplace.clicks.record import Client, clip_user_agent, collected_click, partition_for, record_headers
from marketplace.clicks.visitors import truncate_ip
from marketplace.stores import Store
from marketplace.topics import CLICKS_COLLECTED
from ops.demo.traffic.broken_records import broken_records
from ops.demo.traffic.requests import Post, Traffic
from ops.demo.traffic.shops import SHOPS, store_of

END_MS: Final = 1_780_358_400_000
"""2026-06-02T00:00Z. The end is fixed: the same seed gives the same bytes on any day."""

HOURS: Final = 24
DIRT_SHARE: Final = 0.0005
_EVENTS_PER_VISIT: Final = 8.8
"""Approximate: the corpus ends when it has enough events, a little before or after the end of the day."""


@dataclass(frozen=True)
class Corpus:
    """The parameters of a corpus.

    Attributes:
        clicks: The number of records.
        seed: The seed of random numbers.
        partitions: The topic's number of partitions.
    """

    clicks: int = 2_000_000
    seed: int = 1
    partitions: int = CLICKS_COLLECTED.partitions

    def stores(self) -> dict[str, Store]:
        """The shops by slug."""
        return {shop.name: store_of(shop, shop.name, self.seed) for shop in SHOPS}

    def records(self) -> Iterator[Record]:
        """The records in order of receipt."""
        stores = self.stores()
        broken = itertools.cycle(broken_records(1_000, self.seed, self.partitions))
        chance, agents = random.Random(self.seed), Agents(self.seed)
        made = 0
        for post in self._posts():
            for record in _records(post, stores[post.shop.name], agents, self.partitions):
                if made >= self.clicks:
                    return
                yield next(broken) if chance.random() < DIRT_SHARE else record
                made += 1

    def _posts(self) -> Iterator[Post]:
        """An endless iterator of requests in order of arrival."""
        began = END_MS - HOURS * 3_600_000
        chance, traffic = random.Random(self.seed), Traffic(self.seed, END_MS)
        pulse = lru_cache(maxsize=16)(lambda minute: max(0.2, traffic.activity(minute * 60_000)))
        per_ms = self.clicks / _EVENTS_PER_VISIT / (END_MS - began)
        waiting: list[tuple[int, int, Post]] = []
        count, begins = itertools.count(), float(began)
        while True:
            for post in traffic.live(int(begins), batch=1):
                if post.raw is None:
                    heapq.heappush(waiting, (post.due_ms, next(count), post))
            begins += chance.expovariate(per_ms * pulse(int(begins) // 60_000))
            while waiting and waiting[0][0] <= begins:
                yield heapq.heappop(waiting)[2]


def _records(post: Post, store: Store, agents: Agents, partitions: int) -> Iterator[Record]:
    received_ms = post.due_ms + 40
    sent: dict[str, Any] = {} if post.ahead_ms is None else {"sent_at": max(0, received_ms + post.ahead_ms)}
    read = [read_event({**event, **sent}, "") for event in post.events]
    events: list[ValidEvent] = [event for event in read if not isinstance(event, RefusedEvent)]
    # A visitor without an id is identified by the address, as in the product.
    agent = agents.of(post.user_agent, str(post.events[0].get("visitor_id") or post.address))
    client = Client(_truncated(post.address), clip_user_agent(agent), "web", opted_out=post.opted_out)
    visitors = stamp(
        store, events, received_at_ms=received_ms, address=post.address, user_agent=agent, salt_of=_salt
    )  # fmt: skip
    for event, visitor in zip(events, visitors, strict=True):
        click = collected_click(event, store=store.slug, client=client, visitor=visitor, received_at_ms=received_ms)
        partition = partition_for(click, partitions)
        yield Record(
            CLICKS_COLLECTED.name, encode_click(click), click.visitor.encode(), partition, record_headers(click)
        )


_truncated = lru_cache(maxsize=65_536)(truncate_ip)


@cache
def _salt(date: str) -> bytes:
    return blake2b(date.encode(), digest_size=32).digest()
