"""What the collector does with a request of any endpoint.

A request is answered only after Kafka has acknowledged its accepted events and the dead letters of its refused ones.
A client that gets an error, or no answer, sends the same events again; their ids make that safe.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from connectors.errors import Unavailable as AnyUnavailable
from connectors.kafka.records import Record, Refused, Unavailable
from connectors.mongo.salts import SaltCache
from connectors.mongo.store_directory import StoreDirectory, find_by_import_key
from ingest.collect.dead_letters import dead_letters
from ingest.collect.known_salts import KnownSalts
from ingest.collect.known_stores import KnownStores
from ingest.collect.limits import Limits
from ingest.collect.lookups import LookupFailed, Lookups
from ingest.collect.outcomes import Accepted, Outcome, Rejected
from ingest.collect.partitions import PartitionCount
from ingest.collect.stamping import dates_needed, stamp, whose
from ingest.collect.turned_away import TurnedAwayCounts
from ingest.dependencies import CollectorDependencies
from ingest.faults import HttpFault, unavailable
from ingest.metrics import CollectorMetrics
from marketplace.clicks.collect import Batch, RefusedEvent, ValidEvent
from marketplace.clicks.events import encode_click
from marketplace.clicks.faults import Fault
from marketplace.clicks.record import Client, clip_user_agent, collected_click, partition_for, record_headers
from marketplace.clicks.split import RefusedBody
from marketplace.clicks.visitors import truncate_ip
from marketplace.stores import InvalidStore, Store
from marketplace.topics import CLICKS_COLLECTED

MAX_WRITE_KEY_CHARS: Final = 256
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request. The full address goes no further: it is hashed into the visitor and stored nowhere."""

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
        dependencies: The producer, the repositories, the settings and the clocks.
        metrics: The process's metrics.
    """

    def __init__(self, dependencies: CollectorDependencies, metrics: CollectorMetrics) -> None:
        self._dependencies = dependencies
        self._metrics = metrics
        self._lookups = Lookups(dependencies.monotonic, metrics)
        self._stores = KnownStores(StoreDirectory(dependencies.stores), self._lookups, "write", dependencies.monotonic)
        importers = StoreDirectory(dependencies.stores, find_by_import_key)
        self._importers = KnownStores(importers, self._lookups, "import", dependencies.monotonic)
        self._salt_cache = SaltCache(dependencies.salts)
        self._salts = KnownSalts(self._salt_cache, self._lookups, dependencies.monotonic)
        self.turned_away = TurnedAwayCounts(dependencies.turned_away, dependencies.epoch_ms, dependencies.monotonic)
        self.limits = Limits(dependencies.config, dependencies.monotonic, self.turned_away.add)
        self._partition_count = PartitionCount(dependencies.producer, CLICKS_COLLECTED.name, dependencies.monotonic)

    def close(self) -> None:
        """Let the worker threads end."""
        self._lookups.close()
        self._partition_count.close()
        self.turned_away.close()

    async def authenticate(self, write_key: str, address: str) -> Store:
        """The store of a write key.

        Args:
            write_key: As the client sent it.
            address: The client's; keys that no store has are counted against it.

        Raises:
            HttpFault: 401 no key or an unknown one, 429 too many unknown ones, 503 Mongo does not answer and the key
                was never seen.
        """
        return await self._authenticate(self._stores, write_key, address, "write key")

    async def authenticate_import(self, import_key: str, address: str) -> Store:
        """The store of a secret import key; see :meth:`authenticate`."""
        return await self._authenticate(self._importers, import_key, address, "import key")

    async def _authenticate(self, stores: KnownStores, key: str, address: str, kind: str) -> Store:
        code = kind.replace(" ", "_")
        if not key or len(key) > MAX_WRITE_KEY_CHARS:
            raise HttpFault(401, code, f"send the store's {kind}", close=True)
        known = stores.in_use(key)
        if known is not None:
            return known
        # A key that is known to belong to a store is no guess, also while Mongo cannot confirm it.
        with contextlib.nullcontext() if stores.holds(key) else self.limits.guessing(address):
            try:
                store = await stores.find(key)
            except (AnyUnavailable, InvalidStore) as error:
                _log.warning("stores: %s", error)
                raise _mongo_fault("the store cannot be looked up now", error) from None
            if store is None:
                raise HttpFault(401, code, f"no store has this {kind}", close=True)
            return store

    def received_at_ms(self) -> int:
        """The current time, epoch milliseconds."""
        return self._dependencies.epoch_ms()

    async def collect(self, store: Store, batch: Batch, sender: Sender, body_bytes: int = 0) -> Outcome:
        """Write valid events to Kafka and the others as dead letters.

        Args:
            store: Whose events; it was admitted by ``limits``.
            batch: The events.
            sender: Who sent them.
            body_bytes: The size of the decompressed body.

        Raises:
            HttpFault: 503 Kafka or Mongo is unavailable; the client may send everything again.
        """
        received_at_ms = self._dependencies.epoch_ms()
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
        """Write a body that cannot be read as a dead letter; returns the error to answer with.

        Raises:
            HttpFault: 503, as for :meth:`collect`.
        """
        self.limits.spend(store.slug, client, (), 1, len(body))
        fault: Fault = refused.fault
        await self._write(await dead_letters(store.slug, [(fault, body)], self._dependencies.epoch_ms()))
        self._metrics.rejected.labels(fault.code).inc()
        return HttpFault(400, fault.code, str(fault), path=fault.path)

    async def partitions(self) -> int:
        """How many partitions the topic has, from a cache that is refreshed once a minute.

        Raises:
            HttpFault: 503 the number was never fetched, and Kafka does not answer.
        """
        try:
            return await self._partition_count.get()
        except AnyUnavailable as error:
            _log.warning("kafka: %s", error)
            raise unavailable("events cannot be taken now: Kafka does not answer") from None

    def forget_expired_salts(self) -> int:
        """Remove expired salts from memory; called on a timer."""
        return self._salt_cache.forget_expired(self._now())

    async def fetch_salts_ahead(self) -> int:
        """Fetch the salts of stores whose midnight is near; called on a timer."""
        return await self._salts.fetch_ahead(self._now())

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
        try:
            return await self._salts.of(store, dates, self._now())
        except AnyUnavailable as error:
            _log.warning("salts: %s", error)
            raise _mongo_fault("visitors cannot be stamped now", error) from None

    async def _write(self, records: Sequence[Record]) -> None:
        started = self._dependencies.monotonic()
        try:
            await self._dependencies.producer.send_all_async(
                records, self._dependencies.config.kafka_timeout_seconds + 1
            )
        except Unavailable as error:
            _log.warning("kafka: %s", error)
            raise unavailable("events cannot be taken now: Kafka does not answer") from None
        except Refused as error:
            # The collector bounds every field, so this is a topic whose limits are not what provisioning declares.
            _log.error("kafka refuses records: %s", error.reason)
            raise unavailable("events cannot be taken now", retry_after_seconds=60) from None
        self._metrics.kafka_seconds.observe(self._dependencies.monotonic() - started)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._dependencies.epoch_ms() / 1000, UTC)


def _mongo_fault(message: str, error: Exception) -> HttpFault:
    return unavailable(message, error.retry_after_seconds if isinstance(error, LookupFailed) else 2.0)


def _result(index: int, result: ValidEvent | RefusedEvent) -> Accepted | Rejected:
    if isinstance(result, ValidEvent):
        return Accepted(result.event.event_id)
    return Rejected(index, result.fault.path, result.fault.reason)
