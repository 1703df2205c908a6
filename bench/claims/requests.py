"""Requests to the collector, prepared before the measurement: traffic of the demo in batches of a given size.

A body has two placeholders of fixed width that the sender may replace: one in every event id and visitor id, so that
each pass over the pool has new visitors, and one for the times, so that events happen now.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from marketplace.clicks.collect import ValidEvent, read_event
from ops.demo.traffic.requests import Post, Traffic
from ops.demo.traffic.shops import write_key

PASS_MARK: Final = b"@@pass@@"
"""Eight bytes; replaced by eight hex digits."""

TIME_MARK: Final = b"1111111111111"
"""Thirteen digits: an epoch in milliseconds."""

_VISIT_GAP_MS: Final = 300
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class Prepared:
    """A request; placeholders have the width of their replacements, so its head does not change."""

    head: bytes
    body: bytes
    events: int


def post(host: str, key: str, like: Post, body: bytes) -> bytes:
    """The head of a ``POST /v1/collect``."""
    lines = [
        "POST /v1/collect HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-forwarded-for: {like.address}",
        f"x-write-key: {key}",
        f"user-agent: {like.user_agent}",
        "accept: */*",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def get(host: str, path: str) -> Prepared:
    """A request without a body."""
    return Prepared(f"GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\n\r\n".encode(), b"", 0)


def pool(host: str, seed: int, events: int, batch: int, now_ms: int) -> list[Prepared]:
    """Requests of ``batch`` events each, about ``events`` in all, in the order in which visitors click."""
    by_shop: dict[str, list[dict[str, Any]]] = {}
    requests: list[Prepared] = []
    for like, event in _clicks(seed, events, now_ms):
        waiting = by_shop.setdefault(like.shop.name, [])
        waiting.append(event)
        if len(waiting) == batch:
            body = _body(waiting)
            requests.append(Prepared(post(host, write_key(like.shop.name, seed), like, body), body, batch))
            waiting.clear()
    return requests


def _clicks(seed: int, events: int, now_ms: int) -> Iterator[tuple[Post, dict[str, Any]]]:
    """Clicks of many concurrent visits, each with a first-party visitor id and both placeholders."""
    traffic, chance = Traffic(seed, now_ms), random.Random(seed)
    found: list[Post] = []
    begins = now_ms - _DAY_MS
    while len(found) < events:
        begins += 1 + int(chance.expovariate(1 / _VISIT_GAP_MS))
        found += [post for post in traffic.live(begins, batch=1) if post.raw is None]
    mark, time_mark = PASS_MARK.decode(), int(TIME_MARK)
    for like in sorted(found, key=lambda post: post.due_ms):
        event = dict(like.events[0])
        visitor = (
            event.get("visitor_id") or blake2b(f"{like.address} {like.user_agent}".encode(), digest_size=8).hexdigest()
        )
        event |= {"event_id": f"{mark}{event['event_id']}"[:64], "visitor_id": f"{mark}{visitor}"[:64]}
        event["occurred_at"] = time_mark
        # Events that the collector refuses become dead letters, which are not measured here.
        if isinstance(read_event(event, ""), ValidEvent):
            yield like, event


def _body(events: list[dict[str, Any]]) -> bytes:
    if len(events) == 1:
        return msgspec.json.encode({**events[0], "sent_at": int(TIME_MARK)})
    return msgspec.json.encode({"sent_at": int(TIME_MARK), "events": events})


def save(requests: list[Prepared], file: Path) -> Path:
    """Write a pool to a file, for the sender's process."""
    file.write_bytes(pickle.dumps([(each.head, each.body, each.events) for each in requests]))
    return file


def load(file: Path) -> list[Prepared]:
    """Read a pool from a file."""
    return [Prepared(*each) for each in pickle.loads(file.read_bytes())]
