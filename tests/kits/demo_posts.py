"""What a collector and a flow make of the demo's requests, by the oracle."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from ingest.collect.stamping import whose
from marketplace.clicks.collect import RefusedEvent, ValidEvent, read_body
from marketplace.clicks.events import Origin, encode_click
from marketplace.clicks.history import read_history
from marketplace.clicks.record import Client, Visitor, collected_click
from marketplace.clicks.split import RefusedBody
from marketplace.clicks.visitors import cookieless_visitor, first_party_visitor, truncate_ip
from marketplace.enrichments import Lookups
from ops.demo.services.sender import encode_body
from ops.demo.traffic.requests import Post
from ops.demo.traffic.shops import SHOPS, store_of
from ops.oracle import Expected, LogRecord, expect

NOW_MS: Final = int(datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC).timestamp() * 1000)
AGENTS: Final = CrawlerList()
PLACES: Final = GeoIP().snapshot()


def collect(posts: Iterable[Post]) -> tuple[Expected, int]:
    """What a collector and a flow should make of requests; and how many events are refused by the collector."""
    stores = {shop.name: store_of(shop, shop.name, 1) for shop in SHOPS}
    records: list[LogRecord] = []
    refused = 0
    for at, post in enumerate(posts):
        received_ms = NOW_MS + 10 * at
        try:
            body = encode_body(post, received_ms)
            results = (read_history(body, received_ms) if post.history else read_body(body)).results
        except RefusedBody:
            refused += 1
            continue
        for result in results:
            if isinstance(result, RefusedEvent):
                refused += 1
                continue
            store = stores[post.shop.name]
            address, user_agent = whose(result, post.address, post.user_agent)
            origin: Origin = "import" if post.history else "web"
            client = Client(truncate_ip(address), user_agent, origin, opted_out=post.opted_out)
            click = collected_click(
                result, store=store.slug, client=client, visitor=_stamp(post, result), received_at_ms=received_ms
            )
            records.append(LogRecord(0, len(records), received_ms, encode_click(click)))
    return expect(records, stores, Lookups(PLACES, UserAgents()), AGENTS), refused


def _stamp(post: Post, valid: ValidEvent) -> Visitor:
    """The visitor as the collector stamps it, under a salt of zeros."""
    own = valid.event.visitor_id
    if isinstance(own, str):
        return Visitor(first_party_visitor("0" * 64, post.shop.name, own), "first_party")
    address, user_agent = whose(valid, post.address, post.user_agent)
    return Visitor(cookieless_visitor(bytes(32), post.shop.name, address, user_agent), "cookieless")
