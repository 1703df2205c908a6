"""The preparation of ``sql``, which is not measured: the facts of all events, as one Parquet file."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from bench.contender import Task
from bench.contenders.ladder import EmptyPageStore, batches
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processor import PartitionProcessor
from flows.clicks.store_catalog import StoreCatalog
from marketplace.enrichments.registry import Lookups
from marketplace.tables import CLICKS, ENTRY_COLUMNS
from runtime.breaker import CircuitBreaker

COLUMNS = ("store", "occurred_at", "visitor", "is_bot", "outcome", *ENTRY_COLUMNS)


def run(task: Task) -> None:
    """Write the file."""
    settings, path = task.settings, Path(task.options["path"])
    stores = StoreCatalog(MongoStores(connect(settings.urls.mongo), settings.database), CircuitBreaker())
    lookups = Lookups(GeoIP().snapshot(), UserAgents())
    encoding = EncodingContext(lambda: lookups, CrawlerList())
    processors = {part: PartitionProcessor(part, EmptyPageStore(), stores, encoding, {}) for part in task.ends}
    draft, writer = path.with_suffix(".draft"), None
    for batch in batches(task):
        result = processors[batch.partition].process(batch)
        if result.facts is not None:
            facts = rows_of(CLICKS.name, [result]).select(list(COLUMNS))
            writer = writer or pq.ParquetWriter(draft, facts.schema)
            writer.write_table(facts)
    if writer is not None:
        writer.close()
    draft.rename(path)
