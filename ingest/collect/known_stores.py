"""Stores by key, from memory wherever waiting for Mongo is unnecessary or impossible."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from connectors.errors import Unavailable
from connectors.mongo.store_directory import Need, StoreDirectory
from ingest.collect.lookups import Lookups
from marketplace.stores import InvalidStore, Store


class KnownStores:
    """A cache of stores by key that is refreshed in the background.

    Args:
        directory: The stores in memory.
        lookups: Runs the queries to Mongo.
        kind: Which keys; directories that share ``lookups`` need different kinds.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, directory: StoreDirectory, lookups: Lookups, kind: str, monotonic: Callable[[], float]) -> None:
        self._directory, self._lookups, self._kind, self._monotonic = directory, lookups, kind, monotonic

    def holds(self, key: str) -> bool:
        """Whether the key's store is in memory, however old."""
        return self._directory.holds(key)

    def in_use(self, key: str) -> Store | None:
        """The store of a key if it is known without waiting; an old entry is refreshed in the background."""
        store, need = self._directory.recall(key, self._monotonic())
        if store is None or need is Need.LOOKUP:
            return None
        if need is Need.REFRESH:
            self._refresh(key, store)
        return store

    async def find(self, key: str) -> Store | None:
        """The store of a key; None where Mongo says, or said some seconds ago, that no store has it.

        A store in use never waits for Mongo, and is known for as long as Mongo does not answer. One that was idle for
        long, and an unknown key, wait up to a deadline.

        Raises:
            Unavailable: Mongo did not answer, and nothing is cached for the key.
            InvalidStore: The document is invalid, and nothing is cached for the key.
        """
        store, need = self._directory.recall(key, self._monotonic())
        if need is Need.NOTHING:
            return store
        if need is Need.REFRESH and store is not None:
            self._refresh(key, store)
            return store
        question = partial(self._look_up, key, store)
        learn = partial(self._learn, key)
        try:
            return await self._lookups.ask("unknown" if store is None else "known", (self._kind, key), question, learn)
        except Unavailable:
            if store is None:
                raise
            return self._directory.fall_back(key, self._monotonic())

    def _refresh(self, key: str, store: Store) -> None:
        self._lookups.start("known", (self._kind, key), partial(self._look_up, key, store), partial(self._learn, key))

    def _look_up(self, key: str, known: Store | None) -> Store | None:
        try:
            return self._directory.look_up(key)
        except InvalidStore:
            # Somebody is editing the document by hand: keep the last valid version.
            if known is None:
                raise
            return known

    def _learn(self, key: str, store: Store | None) -> None:
        self._directory.learn(key, store, self._monotonic())
