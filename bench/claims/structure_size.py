"""``python -m bench.claims.structure_size WHAT``: fills one of the flow's structures and prints its size.

Bytes are measured twice: by the structure's own count, and by the growth of the process. Keys and visitors are random
numbers from a fixed seed; in the product they are hashes.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from bench.claims.processes import rss_bytes
from bench.contenders.ladder import EmptyPageStore, FixedStores
from bench.corpus import Corpus
from bench.corpus_cache import ROOT
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from flows.arrays.types import I64, U64
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.model.encoded_column import TextCodes
from flows.clicks.model.facts import Facts, outcome_code
from flows.clicks.model.sessions import SessionRows
from flows.clicks.processor import PartitionProcessor
from flows.clicks.state.page_cache import Pages
from flows.clicks.state.session_state import Sessions
from flows.delivery.batch import RawBatch
from marketplace.clicks.outcomes import COUNTED, REFIRE
from marketplace.enrichments.registry import Lookups

_BATCH: Final = 6_250
"""Events of one partition in an epoch of 50,000."""
_NO_LIMIT: Final = 1 << 50
_HOUR_MS: Final = 3_600_000
_NOON_MS: Final = 1_780_315_200_000
_PER_VISIT: Final = 9
_GAP_MS: Final = 20_000
_REFIRES: Final = 0.03
_FAMILIES: Final = 6


@dataclass(frozen=True)
class StructureSize:
    """The size of a structure.

    Attributes:
        events: The number of events in it.
        counted_bytes: Its size by its own count.
        rss_bytes: The growth of the process.
    """

    what: str
    events: int
    counted_bytes: int
    rss_bytes: int


def run(what: str, events: int, hours: int = 24) -> StructureSize:
    """Measure in a child process.

    Raises:
        RuntimeError: The process failed.
    """
    command = [
        sys.executable,
        "-m",
        "bench.claims.structure_size",
        what,
        "--events",
        str(events),
        "--hours",
        str(hours),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr[-2_000:]}")
    return StructureSize(**json.loads(done.stdout))


def dedupe(events: int, hours: int) -> Callable[[], int]:
    """Keys for deduplication, looked up and stored as the flow does; events come in the order of their hours."""
    random, pages = np.random.default_rng(1), Pages(EmptyPageStore(), 0, _NO_LIMIT)
    for first in range(0, events, _BATCH):
        keys = random.integers(0, 1 << 64, _BATCH, np.uint64)
        at = _times(first, events, hours) // _HOUR_MS
        pages.seen(keys, at, first)
        pages.remember_keys(keys, at, first, first + _BATCH - 1)
    return lambda: pages.nbytes


def visits(events: int, hours: int) -> Callable[[], int]:
    """Clicks by pair for re-fires, and events by visitor and minute for the rate."""
    random, pages = np.random.default_rng(1), Pages(EmptyPageStore(), 0, _NO_LIMIT)
    for first in range(0, events, _BATCH):
        visitor, when = _activity(random, first, events, hours)
        pair = random.integers(0, 1 << 64, len(visitor), np.uint64)
        pages.remember_activity(_facts(random, visitor, pair, when), first, first + len(visitor) - 1)
    return lambda: pages.nbytes


def sessions(events: int, hours: int) -> Callable[[], int]:
    """Sessions of nine events."""
    random, structure = np.random.default_rng(1), Sessions(_FAMILIES, 0, [0])
    for first in range(0, events, _BATCH):
        visitor, when = _activity(random, first, events, hours)
        none = np.zeros(len(visitor), np.int64)
        entry = np.zeros((len(visitor), _FAMILIES), np.int32)
        flags, codes = none.astype(np.uint8), none.astype(np.int32)
        begun = SessionRows(visitor, flags, codes, when, when.copy(), none + 1, none, entry, codes)
        structure.apply(structure.merge(begun))
    return lambda: structure.nbytes


def processor(events: int, hours: int) -> Callable[[], int]:
    """The whole state of one partition after a day of traffic; ``hours`` has no effect."""
    corpus = Corpus(events, 1)
    lookups = Lookups(GeoIP().snapshot(), UserAgents())
    encoding = EncodingContext(lambda: lookups, CrawlerList())
    path = PartitionProcessor(0, EmptyPageStore(), FixedStores(corpus.stores()), encoding, {}, _NO_LIMIT)
    records, offset = corpus.records(), 0
    while chunk := list(islice(records, _BATCH)):
        offsets = list(range(offset, offset + len(chunk)))
        path.process(RawBatch(0, offsets, [_NOON_MS] * len(chunk), [record.value for record in chunk]))
        offset += len(chunk)
    return lambda: path.nbytes + encoding.nbytes


def _facts(random: np.random.Generator, visitor: U64, pair: U64, when: I64) -> Facts:
    none = np.zeros(len(visitor), np.int64)
    refire = random.random(len(visitor)) < _REFIRES
    return Facts(
        stores=TextCodes().column(["store"] * len(visitor)),
        imported=none > 0,
        key=pair,
        dedupe_hour=none,
        visitor=visitor,
        pair=pair,
        received_ms=when,
        occurred_ms=when,
        outcome=np.where(refire, outcome_code(REFIRE), outcome_code(COUNTED)).astype(np.uint8),
        is_bot=none.astype(np.uint8),
        is_view=none == 0,
        codes=np.zeros((len(visitor), 0), np.int32),
    )


def _times(first: int, events: int, hours: int) -> I64:
    place = np.arange(first, first + _BATCH, dtype=np.int64)
    return _NOON_MS + place * (hours * _HOUR_MS) // events


def _activity(random: np.random.Generator, first: int, events: int, hours: int) -> tuple[U64, I64]:
    count = _BATCH // _PER_VISIT
    visitor = np.repeat(random.integers(0, 1 << 64, count, np.uint64), _PER_VISIT)
    steps = np.tile(np.arange(_PER_VISIT, dtype=np.int64) * _GAP_MS, count)
    return visitor, _times(first, events, hours)[: len(visitor)] + steps


WHATS: Final = {"dedupe": dedupe, "visits": visits, "sessions": sessions, "processor": processor}


def main() -> None:
    """Fill a structure and print its size as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.structure_size", description=__doc__)
    parser.add_argument("what", choices=sorted(WHATS))
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--hours", type=int, default=24, help="of event time that they are spread over")
    options = parser.parse_args()
    # Memory that is allocated once, or by the first batches, does not belong to the structure.
    warm = WHATS[options.what](2 * _BATCH, options.hours)
    del warm
    gc.collect()
    before = rss_bytes(os.getpid())
    count = WHATS[options.what](options.events, options.hours)
    gc.collect()
    structure = {"counted_bytes": count(), "rss_bytes": rss_bytes(os.getpid()) - before}
    sys.stdout.write(json.dumps({"what": options.what, "events": options.events, **structure}) + "\n")


if __name__ == "__main__":
    main()
