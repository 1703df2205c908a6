"""What surrounds the click path and may change while it is down: stores, lookups, the list of crawlers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.lookups.bot_list import CrawlerList
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.processor import DEFAULT_PAGE_BYTES, PartitionProcessor
from flows.clicks.state.page_cache import PageStore
from marketplace.enrichments import Agent, Lookups, Place
from marketplace.stores import Store
from marketplace.tables import CLICK_TABLES, ENTRY_COLUMNS, EXIT_COLUMN
from ops.oracle import Fact, LogRecord, Numbers, RollupKey
from ops.oracle.counting import count, visits
from tests.kits.clicks import AGENTS, LOOKUPS, STORES, FixedStores, cut, stored
from tests.kits.clicks_pages import MemoryPages, Row

ACCEPTED: Final = ("counted", "bot", "refire")
Visit = tuple[Any, ...]


@dataclass(frozen=True)
class Elsewhere:
    """A geography in which every address is in one place."""

    country: str

    def version(self) -> str:
        return f"everywhere is {self.country}"

    def find(self, ip: str) -> Place:
        return Place(self.country, "Capital")


@dataclass(frozen=True)
class OneBrowser:
    """Rules by which every user agent is one browser."""

    name: str

    def version(self) -> str:
        return f"everything is {self.name}"

    def find(self, user_agent: str) -> Agent:
        return Agent(self.name, "1", "Os", "2", "tablet")


@dataclass(frozen=True)
class World:
    """What a machine asks that is not in the log."""

    stores: Mapping[str, Store]
    lookups: Lookups
    agents: CrawlerList

    def machine(
        self, pages: PageStore, fences: Mapping[str, int], partition: int = 0, page_bytes: int = DEFAULT_PAGE_BYTES
    ) -> PartitionProcessor:
        """A machine that takes a partition over in this world."""
        encoding = EncodingContext(lambda: self.lookups, self.agents, 4 * page_bytes)
        return PartitionProcessor(partition, pages, FixedStores(self.stores), encoding, fences, page_bytes)


def _changed(**stores: Mapping[str, Any]) -> dict[str, Store]:
    return {slug: replace(store, **stores.get(slug, {})) for slug, store in STORES.items()}


WORLDS: Final = (
    World(STORES, LOOKUPS, AGENTS),
    World(
        _changed(
            alpha={"blocked_networks": (), "honour_opt_out": False, "domains": ("google.com",)},
            beta={"blocked_networks": ("81.2.69.0/24", "2001:db8::/32"), "domains": ("alpha.example",)},
            gamma={"honour_opt_out": True},
        ),
        Lookups(Elsewhere("XX"), OneBrowser("Lynx")),
        CrawlerList(["Chrome"]),
    ),
    World(
        {slug: store for slug, store in STORES.items() if slug != "beta"},
        Lookups(Elsewhere("YY"), OneBrowser("Mosaic")),
        CrawlerList(["iPhone"]),
    ),
)
"""As usual; with other blocked networks, domains, places, browsers and bots; and with a store that is not there."""


def run_through_worlds(
    log: Sequence[LogRecord],
    sizes: Sequence[int],
    crashes: Iterable[int],
    worlds: Sequence[World],
    epoch: int = 1,
    page_bytes: int = DEFAULT_PAGE_BYTES,
) -> MemoryPages:
    """Send one partition's log through machines that crash; each wakes up in the next world, the last one lives on."""
    pages, script, life = MemoryPages(), list(crashes), 0
    while True:
        fences = pages.fences(0)
        rest = [record for record in log if record.offset > fences.get(CLICK_TABLES[-1].name, -1)]
        machine = worlds[life % len(worlds)].machine(pages, fences, page_bytes=page_bytes)
        batches = cut(rest, sizes, fences.values())
        for start in range(0, len(batches), epoch):
            results = [machine.process(batch) for batch in batches[start : start + epoch]]
            tables = script.pop(0) if script else len(CLICK_TABLES)
            pages.write(results, tables)
            if tables < len(CLICK_TABLES):
                break
        else:
            return pages
        life += 1


def as_fact(row: Row) -> Fact:
    """A row of ``clicks`` as the oracle has facts."""
    return Fact(
        partition=row["source_partition"],
        offset=row["source_offset"],
        store=row["store"],
        event_id=row["event_id"],
        visitor=f"{row['visitor']:016x}",
        occurred_ms=row["occurred_at"],
        received_ms=row["received_at"],
        outcome=row["outcome"],
        is_bot=row["is_bot"],
        bot_reasons=row["bot_reasons"],
        notes=(row["time_note"],) if row["time_note"] else (),
        type=row["type"],
        columns={name: row[name] for name in (*ENTRY_COLUMNS, "target", "name", "bot_kind")},
    )


def counted_anew(clicks: Iterable[Row]) -> dict[RollupKey, Numbers]:
    """All reports, counted by the oracle from one partition's facts alone."""
    facts = [as_fact(row) for row in sorted(clicks, key=lambda row: int(row["source_offset"]))]
    return stored(count([facts], STORES))


def visited_anew(clicks: Iterable[Row]) -> list[Visit]:
    """All visits, found by the oracle in one partition's facts alone."""
    facts = [as_fact(row) for row in sorted(clicks, key=lambda row: int(row["source_offset"]))]
    return sorted(
        (
            *(v.entry.visitor, v.entry.is_bot, v.entry.store, v.start_ms, v.end_ms, v.views, v.actions),
            *(v.entry.columns[name] for name in ENTRY_COLUMNS),
            v.exit.columns["page"],
        )
        for v in visits(facts)
    )


def visits_of(standing: Iterable[Row]) -> list[Visit]:
    """Rows of ``sessions`` in the same shape."""
    numbers = ("is_bot", "store", "started_at", "ended_at", "views", "actions", *ENTRY_COLUMNS, EXIT_COLUMN)
    return sorted((f"{row['visitor']:016x}", *(row[name] for name in numbers)) for row in standing)


def accepted_in(ledger: Mapping[tuple[str, int, str, str], int]) -> Counter[tuple[str, int, str]]:
    """Accepted events by store, hour of receipt and outcome, as the ledger has them."""
    found: Counter[tuple[str, int, str]] = Counter()
    for (store, hour, kind, name), events in ledger.items():
        if kind == "outcome" and name in ACCEPTED:
            found[store, hour, name] += events
    return found


def accepted_anew(clicks: Iterable[Row]) -> Counter[tuple[str, int, str]]:
    """The same from the facts."""
    return Counter((row["store"], row["received_at"] // 3_600_000, row["outcome"]) for row in clicks)


def balances(ledger: Mapping[tuple[str, int, str, str], int]) -> tuple[int, set[int]]:
    """How many records the ledger speaks of, and by how much any store's hour does not close."""
    received, balance = 0, Counter[tuple[str, int]]()
    for (store, hour, kind, _), events in ledger.items():
        received += events if kind == "received" else 0
        balance[store, hour] += {"received": events, "outcome": -events, "note": 0}[kind]
    return received, set(balance.values()) - {0}
