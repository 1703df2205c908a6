"""Whoever imports a log while it is written, and again when it is longer, counts each request once."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.mongo.salts import MemorySalts, SaltCache
from connectors.mongo.stores import MemoryStores
from ingest.imports.access_log import Destination, LogImport
from ingest.imports.bounded_retry import BoundedRetry
from ingest.imports.selection import Selection
from marketplace.clicks.events import decode_click
from marketplace.topics import CLICKS_COLLECTED
from ops.commands.import_readings import RefusedImport, read_files
from ops.commands.log_progress import LogFile
from tests.kits import access_logs as lines
from tests.kits.collector import SHOP, SteppingClock, memory_producer

LOGS = {
    "combined": lines.COMBINED,
    "common": lines.COMBINED.split(' "http')[0],
    "vhost_combined": f"shop.example:443 {lines.COMBINED}",
    "nginx_main": f'{lines.COMBINED} "198.51.100.7"',
    "forwarded": f'"{lines.CLIENT}" 10.0.0.1 {lines.REST}',
    "alb": lines.ALB,
    "elb": lines.ELB,
    "s3": lines.S3,
    "haproxy": lines.HAPROXY,
    "w3c": lines.IIS,
    "caddy": lines.CADDY,
    "traefik": lines.TRAEFIK,
    "nginx_json": lines.NGINX_JSON,
    "docker": lines.DOCKER,
}
EVERYTHING = Selection("shop.example", all_requests=True)


class Imports:
    """Imports of one log, one after the other."""

    def __init__(self) -> None:
        self.producer, self.clock = memory_producer(), SteppingClock(1_750_000_000_000)
        self.salts, self.stores = SaltCache(MemorySalts()), MemoryStores()
        self.stores.upsert_store(SHOP)

    def run(self, data: bytes) -> list[tuple[str, str, str, int | None]]:
        """What all imports together have sent after this one; a file that is refused sends nothing."""
        retry = BoundedRetry(1.0, print, self.clock.step, self.clock.monotonic)
        to = Destination(SHOP, self.stores, self.producer, self.salts, self.clock.epoch_ms, retry)
        importing = LogImport(to, selection=EVERYTHING, progress=lambda _counts: None)
        try:
            (file,) = read_files([LogFile("x.log", io.BytesIO(data), None)], None, "UTC")
        except RefusedImport:
            return []
        importing.read(file.name, file.lines, file.reading)
        clicks = [decode_click(record.value) for record in self.producer.records(CLICKS_COLLECTED.name)]
        return [(click.key, click.visitor, click.url, click.occurred_at_ms) for click in clicks]


@pytest.mark.parametrize("name", LOGS)
@settings(max_examples=25)
@given(copies=st.integers(1, 3), end=st.sampled_from([b"\n", b"\r\n"]), data=st.data())
def test_a_log_imported_half_written_and_then_whole_counts_each_request_once(
    name: str, copies: int, end: bytes, data: st.DataObject
) -> None:
    *heading, request = [text.encode() for text in LOGS[name].split("\n")]
    whole = b"".join(line + end for line in (*heading, *[request] * copies))
    # Most of all within the last line.
    cut = len(whole) - data.draw(st.integers(0, len(request) + 2) | st.integers(0, len(whole)))
    alone = Imports().run(whole)
    both = Imports()
    before = both.run(whole[:cut])

    sent = both.run(whole)

    assert len(before) == max(0, whole[:cut].count(b"\n") - len(heading))
    assert len(set(sent)) == len(set(alone)) == copies
    assert {(key, url, at) for key, _, url, at in sent} == {(key, url, at) for key, _, url, at in alone}
