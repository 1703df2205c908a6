"""What the collector does with a request, whichever door it came through.

Nothing is answered before Kafka has what the answer speaks of: accepted events on the topic, refused ones as dead
letters. A client that gets an error, or no answer, sends the same events again; their ids make that safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from connectors.kafka.records import Record, Refused, Unavailable
from connectors.mongo_salts import SaltCache, SaltsUnavailable
from connectors.mongo_stores import StoresUnavailable
from connectors.store_directory import StoreDirectory, find_by_import_key
from ingest.dead_letters import dead_letters
from ingest.faults import HttpFault, unavailable
from ingest.limits import Limits
from ingest.metrics import CollectorMetrics
from ingest.outcomes import Accepted, Outcome, Rejected
from ingest.parts import Parts
from ingest.stamping import dates_needed, salts_at_hand, salts_from, stamp, whose
from ingest.turned_away import TurnedAwayCounts
from marketplace.collect import Batch, RefusedEvent, ValidEvent
from marketplace.collect_faults import Fault
from marketplace.collect_record import Client, clip_user_agent, collected_click, partition_for, record_headers
from marketplace.collect_split import RefusedBody
from marketplace.events import encode_click
from marketplace.stores import InvalidStore, Store
from marketplace.topics import CLICKS_COLLECTED
from marketplace.visitors import truncate_ip

MAX_WRITE_KEY_CHARS: Final = 256
_PARTITIONS_SECONDS: Final = 60.0
METADATA_TIMEOUT_SECONDS: Final = 3.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request. The full address ends here: it is hashed into the visitor and named nowhere else."""

    address: str
    user_agent: str
    client: Client

    def client_of(self, valid: ValidEvent) -> Client:
        """The client of an event, which an imported one may name itself."""
        address, user_agent = whose(valid, self.address, self.user_agent)
        if (address, user_agent) == (self.address, self.user_agent):
            return self.client
        return replace(self.client, ip=truncate_ip(address), user_agent=clip_user_agent(user_agent))


class CollectService:
    """One collector process.

    Args:
        parts: Its surroundings.
        metrics: Where it counts.
    """

    def __init__(self, parts: Parts, metrics: CollectorMetrics) -> None:
        self._parts = parts
        self._metrics = metrics
        self._directory = StoreDirectory(parts.stores)
        self._importers = StoreDirectory(parts.stores, find_by_import_key)
        self._salts = SaltCache(parts.salts)
        self.turned_away = TurnedAwayCounts(parts.turned_away, parts.epoch_ms, parts.monotonic)
        self.limits = Limits(parts.config, parts.monotonic, self.turned_away.add)
        self._refreshing: set[asyncio.Task[Store | None]] = set()
        self._partitions: tuple[float, int] | None = None
        self._partitions_lock = asyncio.Lock()
        self._counting: asyncio.Task[None] | None = None
        # Of its own: lookups of keys that nobody knows may hold all other threads while Mongo is away.
        self._kafka_thread = ThreadPoolExecutor(1, "partitions")

    async def authenticate(self, write_key: str) -> Store:
        """The store of a write key.

        Raises:
            HttpFault: 401 no key or an unknown one, 503 Mongo is away and the key was never seen.
        """
        return await self._authenticate(self._directory, write_key, "write key")

    def knows(self, write_key: str) -> bool:
        """Whether nothing has to be looked up for a write key: its store is in memory, or there is no key."""
        return not write_key or self._directory.cached(write_key, self._parts.monotonic()) is not None

    def knows_import(self, import_key: str) -> bool:
        """The same of an import key."""
        return not import_key or self._importers.cached(import_key, self._parts.monotonic()) is not None

    async def authenticate_import(self, import_key: str) -> Store:
        """The store of a secret import key; see :meth:`authenticate` for the errors."""
        return await self._authenticate(self._importers, import_key, "import key")

    async def _authenticate(self, directory: StoreDirectory, key: str, kind: str) -> Store:
        code = kind.replace(" ", "_")
        if not key or len(key) > MAX_WRITE_KEY_CHARS:
            raise HttpFault(401, code, f"send the store's {kind}", close=True)
        now = self._parts.monotonic()
        store = directory.cached(key, now)
        if store is not None and directory.claim_refresh(key, now):
            refresh = asyncio.create_task(asyncio.to_thread(directory.find, key, now))
            self._refreshing.add(refresh)
            refresh.add_done_callback(self._refreshing.discard)
        if store is None:
            try:
                store = await asyncio.to_thread(directory.find, key, now)
            except (StoresUnavailable, InvalidStore) as error:
                _log.warning("stores: %s", error)
                raise unavailable("the store cannot be looked up now") from None
        if store is None:
            raise HttpFault(401, code, f"no store has this {kind}", close=True)
        return store

    def received_at_ms(self) -> int:
        """The present by the collector's clock, epoch milliseconds."""
        return self._parts.epoch_ms()

    async def collect(self, store: Store, batch: Batch, sender: Sender, body_bytes: int = 0) -> Outcome:
        """Record what is valid and keep the rest as dead letters.

        Args:
            store: Whose events; it was admitted by ``limits``.
            batch: The events.
            sender: Who sent them.
            body_bytes: What had to be read for them.

        Raises:
            HttpFault: 503 Kafka or Mongo is unavailable; the client may send all again.
        """
        received_at_ms = self._parts.epoch_ms()
        valid = [result for result in batch.results if isinstance(result, ValidEvent)]
        self.limits.spend(store.slug, sender.client, valid, len(batch.results), body_bytes)
        records = await self._records(store, valid, sender, received_at_ms)
        whole = len(valid) == len(batch.results)
        refused = [] if whole else [result for result in batch.results if isinstance(result, RefusedEvent)]
        if refused:
            letters = ((event.fault, event.raw) for event in refused)
            records += await dead_letters(store.slug, letters, received_at_ms)
        await self._write(records)
        self._metrics.accepted.labels(sender.client.origin).inc(len(valid))
        for event in refused:
            self._metrics.rejected.labels(event.fault.code).inc()
        if whole:
            return Outcome([Accepted(one.event.event_id) for one in valid], None)
        return Outcome([_result(index, result) for index, result in enumerate(batch.results)], refused[0].fault)

    async def refuse(self, store: Store, refused: RefusedBody, body: bytes, client: Client) -> HttpFault:
        """Keep a body that cannot be read as a dead letter; gives the error to answer with.

        Raises:
            HttpFault: 503, as for :meth:`collect`.
        """
        self.limits.spend(store.slug, client, (), 1, len(body))
        fault: Fault = refused.fault
        await self._write(await dead_letters(store.slug, [(fault, body)], self._parts.epoch_ms()))
        self._metrics.rejected.labels(fault.code).inc()
        return HttpFault(400, fault.code, str(fault), path=fault.path)

    async def partitions(self) -> int:
        """How many partitions the topic has; the last answer holds while it is asked again, once a minute.

        Raises:
            HttpFault: 503 Kafka is away and never answered.
        """
        if self._partitions is None:
            async with self._partitions_lock:
                if self._partitions is None:
                    await self._count_partitions()
        if self._partitions is None:
            raise unavailable("events cannot be taken now: Kafka is away")
        since, known = self._partitions
        if self._parts.monotonic() - since >= _PARTITIONS_SECONDS and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count_partitions())
        return known

    async def _count_partitions(self) -> None:
        ask, loop = self._parts.producer.partition_count, asyncio.get_running_loop()
        found = None if self._partitions is None else self._partitions[1]
        try:
            found = await loop.run_in_executor(self._kafka_thread, ask, CLICKS_COLLECTED.name, METADATA_TIMEOUT_SECONDS)
        except Unavailable as error:
            _log.warning("kafka: %s", error)
        if found is not None:
            self._partitions = (self._parts.monotonic(), found)

    def forget_expired_salts(self) -> int:
        """Destroy what must no longer be in memory; called on a timer."""
        return self._salts.forget_expired(self._now())

    async def _records(
        self, store: Store, events: Sequence[ValidEvent], sender: Sender, received_at_ms: int
    ) -> list[Record]:
        if not events:
            return []
        imported = sender.client.origin == "import"
        salts = await self._salts_of(store, dates_needed(store, events, received_at_ms, imported=imported))
        visitors = stamp(
            store,
            events,
            received_at_ms=received_at_ms,
            address=sender.address,
            user_agent=sender.user_agent,
            salt_of=salts.__getitem__,
            imported=imported,
        )
        partitions = await self.partitions()
        records = []
        client = sender.client
        for valid, visitor in zip(events, visitors, strict=True):
            if imported:
                client = sender.client_of(valid)
            click = collected_click(
                valid, store=store.slug, client=client, visitor=visitor, received_at_ms=received_at_ms
            )
            records.append(
                Record(
                    CLICKS_COLLECTED.name,
                    encode_click(click),
                    click.visitor.encode(),
                    partition_for(click, partitions),
                    record_headers(click),
                )
            )
        return records

    async def _salts_of(self, store: Store, dates: set[str]) -> dict[str, bytes]:
        now = self._now()
        salts = salts_at_hand(self._salts, store, dates, now)
        if salts is not None:
            return salts
        try:
            return await asyncio.to_thread(salts_from, self._salts, store, dates, now)
        except SaltsUnavailable as error:
            _log.warning("salts: %s", error)
            raise unavailable("visitors cannot be stamped now") from None

    async def _write(self, records: Sequence[Record]) -> None:
        started = self._parts.monotonic()
        try:
            await self._parts.producer.send_all_async(records, self._parts.config.kafka_timeout_seconds + 1)
        except Unavailable as error:
            _log.warning("kafka: %s", error)
            raise unavailable("events cannot be taken now: Kafka is away") from None
        except Refused as error:
            # The collector bounds every field, so this is a topic whose limits are not what provisioning declares.
            _log.error("kafka refuses records: %s", error.reason)
            raise unavailable("events cannot be taken now", retry_after_seconds=60) from None
        self._metrics.kafka_seconds.observe(self._parts.monotonic() - started)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._parts.epoch_ms() / 1000, UTC)


def _result(index: int, result: ValidEvent | RefusedEvent) -> Accepted | Rejected:
    if isinstance(result, ValidEvent):
        return Accepted(result.event.event_id)
    return Rejected(index, result.fault.path, result.fault.reason)
