"""``python -m bench.claims.growth``: what makes the processing of an event more expensive.

It runs the click path alone, in this process: records of the corpus in memory, in batches, up to the rows of all
tables. In each variation one field has a new value in every record (a link, a network, a user agent), or batches are
small, or there are many stores. Base and variations take turns; the median of their differences is the cost of a new
value or of a batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from bench.claims.numbers import Row, report, say
from bench.contenders.ladder import EmptyPageStore, FixedStores, make_rows
from bench.corpus import Corpus
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.processor import PartitionProcessor
from flows.delivery.batch import RawBatch
from marketplace.clicks.events import CollectedClick, decode_click, encode_click
from marketplace.enrichments.registry import Lookups
from marketplace.stores import Store

_LARGE: Final = 5_000
_SMALL: Final = 100
_STORES: Final = 1_000
_NOON_MS: Final = 1_780_315_200_000

Change = Callable[[int, CollectedClick], CollectedClick]


@dataclass(frozen=True)
class Variation:
    """A variation of the traffic that is more expensive.

    Attributes:
        name: The name in the table.
        change: Changes the event of a number.
        batch: Records in a batch.
        together: Batches whose rows are built together, like those of a round's partitions.
    """

    name: str
    change: Change = lambda _, event: event
    batch: int = _LARGE
    together: int = 1


def _network(at: int, event: CollectedClick) -> CollectedClick:
    return msgspec.structs.replace(event, ip=f"{at % 64 + 41}.{at // 64 % 256}.{at // 16_384 % 256}.0")


def _link(at: int, event: CollectedClick) -> CollectedClick:
    mark = "&" if "?" in event.url else "?"
    return msgspec.structs.replace(event, url=f"{event.url}{mark}session={at}")


def _agent(at: int, event: CollectedClick) -> CollectedClick:
    return msgspec.structs.replace(event, user_agent=f"{event.user_agent} App/{at}")


def _store(at: int, event: CollectedClick) -> CollectedClick:
    return msgspec.structs.replace(event, store=f"{event.store}-{at % (_STORES // 5)}")


VARIATIONS: Final = (
    Variation("as in the corpus"),
    Variation("every link new", _link),
    Variation("every network new", _network),
    Variation("every user agent new", _agent),
    Variation(f"{_STORES:,} stores instead of 5", _store),
    Variation(f"batches of {_SMALL} instead of {_LARGE:,}", batch=_SMALL),
    Variation(f"batches of {_SMALL}, eight in a round", batch=_SMALL, together=8),
)


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.growth", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="of each run [%(default)s]")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, in turn [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    corpus = Corpus(options.events, 1)
    values = [record.value for record in corpus.records()]
    stores, lookups, crawlers = (
        _stores(corpus),
        Lookups(GeoIP().snapshot(), UserAgents(0)),
        CrawlerList(cache_entries=0),
    )
    costs: dict[str, list[float]] = {variation.name: [] for variation in VARIATIONS}
    for repeat in range(options.repeats):
        for variation in VARIATIONS:
            batches = _batches(values, variation)
            encoding = EncodingContext(lambda: lookups, crawlers)
            processor = PartitionProcessor(0, EmptyPageStore(), FixedStores(stores), encoding, {})
            costs[variation.name].append(_run(batches, processor, variation.together))
            say(f"{repeat + 1}: {variation.name:32} {costs[variation.name][-1]:8.2f} us/event")
    return report(_rows(costs, options.events), {"us_per_event": costs}, options.json)


def _rows(costs: Mapping[str, list[float]], events: int) -> list[Row]:
    base = costs[VARIATIONS[0].name]
    rows = []
    for variation in VARIATIONS:
        found = costs[variation.name]
        more = statistics.median(own - other for own, other in zip(found, base, strict=True))
        note = f"({min(found):.2f}-{max(found):.2f})" + (f" {more:+.2f} us for each event" if found is not base else "")
        if variation.batch != _LARGE:
            extra = events / variation.batch - events / _LARGE
            note += f", {1e-3 * more * events / extra:.1f} ms for each batch"
        rows.append(Row(variation.name, f"{statistics.median(found):.2f} us", note=note))
    return rows


def _batches(values: list[bytes], variation: Variation) -> list[RawBatch]:
    changed = [_changed(at, value, variation.change) for at, value in enumerate(values)]
    starts = range(0, len(changed), variation.batch)
    parts = [(start, changed[start : start + variation.batch]) for start in starts]
    return [RawBatch(0, range(at, at + len(part)), [_NOON_MS] * len(part), part) for at, part in parts]


def _changed(at: int, value: bytes, change: Change) -> bytes:
    try:
        return encode_click(change(at, decode_click(value)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value  # one of the broken records


def _run(batches: list[RawBatch], processor: PartitionProcessor, together: int) -> float:
    began = time.process_time()
    for start in range(0, len(batches), together):
        make_rows([processor.process(batch) for batch in batches[start : start + together]])
    return 1e6 * (time.process_time() - began) / sum(len(batch.values) for batch in batches)


def _stores(corpus: Corpus) -> dict[str, Store]:
    stores = corpus.stores()
    copies = {
        f"{slug}-{at}": replace(store, slug=f"{slug}-{at}")
        for slug, store in stores.items()
        for at in range(_STORES // 5)
    }
    return stores | copies


if __name__ == "__main__":
    raise SystemExit(main())
