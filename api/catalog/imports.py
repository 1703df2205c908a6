"""Imports of CSV files, which go on when whoever has sent one is gone; and exports.

A file stays in the memory of the process that has received it. If the process ends, the import is shown as interrupted,
with what it has done. The same file can then be sent again: what is there by then stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from api.catalog.answers import STORE_TAG, CatalogAnswers, product_tag
from connectors.errors import Unavailable
from connectors.mongo.categories import Categories
from connectors.mongo.product_imports import ProductImports
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.products import Products
from connectors.mongo.times import milliseconds
from marketplace.catalog.csv_files import ProductLines, read, written
from marketplace.catalog.imports import LINES_AT_ONCE, PRODUCTS_AT_ONCE, Import, ImportState
from marketplace.catalog.refusals import Fault, InvalidCatalog, NoSuchImport
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.tenancy import TenancyError
from runtime.backoff import Backoff

MAX_RUNNING: Final = 2
"""Imports of one process at one time, from the moment that a file is read: each keeps its file in memory."""

_BACKOFF: Final = Backoff(0.5, 1.0, 2.0, 4.0)
_ATTEMPTS: Final = 6
"""Of a step that Mongo does not answer: together less than the time after which an import counts as interrupted."""

_EXPORTED_AT_ONCE: Final = 50
_log = logging.getLogger(__name__)


class CatalogFiles:
    """Imports and exports.

    Args:
        imports: Where imports are noted and products written.
        products: The products of stores.
        reads: Reads of products.
        categories: The categories of stores.
        answers: Public answers.
        clock: The time.
    """

    def __init__(
        self,
        imports: ProductImports,
        products: Products,
        reads: ProductReads,
        categories: Categories,
        answers: CatalogAnswers,
        clock: Callable[[], datetime],
    ) -> None:
        self._imports, self._products, self._reads, self._categories = imports, products, reads, categories
        self._answers, self._clock = answers, clock
        self._running: set[asyncio.Task[None]] = set()
        self._beginning = 0

    async def begin(self, store: str, actor: str, content: bytes, tier: Tier, *, dry_run: bool) -> Import:
        """Begin to import a file; it goes on after this has returned.

        Args:
            store: The slug of the store.
            actor: Who asks: of an API key, its maker.
            content: The file.
            tier: The store's.
            dry_run: Whether nothing is to be written.

        Raises:
            InvalidCatalog: It is no file of products, or an empty one.
            ImportUnderWay: Another import of the store is.
            NoSuchStore: There is no such store.
            NotAllowed: Who asks may not, by the role of now.
            Unavailable: Mongo does not answer, or the process imports as many files as it can.
        """
        if len(self._running) + self._beginning >= MAX_RUNNING:
            raise Unavailable("as many imports are under way as there may be")
        self._beginning += 1
        try:
            groups = await asyncio.to_thread(read, content)
            if not groups:
                raise InvalidCatalog([Fault("", "empty", "the file has no products")])
            now = self._clock()
            new = Import(
                secrets.token_hex(16),
                store,
                actor,
                dry_run,
                ImportState.RUNNING,
                len(groups),
                created_at=milliseconds(now),
                changed_at=milliseconds(now),
            )
            await self._imports.begin(new, now)
            task = asyncio.create_task(self._run(new, groups, ENTITLEMENTS[tier].products))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        finally:
            self._beginning -= 1
        return new

    async def get(self, store: str, import_id: str) -> Import:
        """An import of a store, as far as it is; see :meth:`ProductImports.get` for the errors."""
        return self._shown(await self._imports.get(store, import_id))

    async def latest(self, store: str) -> list[Import]:
        """The last imports of a store, the newest first; see :meth:`ProductImports.latest`."""
        return [self._shown(each) for each in await self._imports.latest(store)]

    async def export(self, store: str) -> AsyncIterator[str]:
        """The products of a store as a file, in parts; those that are put up meanwhile may be missing.

        Raises:
            Unavailable: Mongo does not answer.
        """
        ids, tree = await asyncio.gather(self._products.ids_by_slug(store), self._categories.of_store(store))

        async def parts() -> AsyncIterator[str]:
            yield written((), tree)
            for at in range(0, len(ids), _EXPORTED_AT_ONCE):
                some = ids[at : at + _EXPORTED_AT_ONCE]
                found = await self._reads.many(some)
                yield written([found[id] for id in some if id in found], tree, head=False)

        return parts()

    async def idle(self) -> None:
        """Return when no import is under way."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def close(self) -> None:
        """Interrupt the imports that are under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _shown(self, found: Import) -> Import:
        return replace(found, state=found.state_at(milliseconds(self._clock())))

    async def _run(self, running: Import, groups: Sequence[ProductLines], limit: int) -> None:
        state, reason = ImportState.INTERRUPTED, ""
        try:
            for some in _steps(groups):
                await self._step(running, some, limit)
                running = replace(running, done=running.done + len(some))
            state = ImportState.DONE
        except NoSuchImport:
            return
        except TenancyError as error:
            state, reason = ImportState.FAILED, str(error)
        except Unavailable:
            _log.warning("the import %s was interrupted: Mongo did not answer", running.id)
        except Exception:
            state, reason = ImportState.FAILED, "something went wrong here"
            _log.exception("the import %s failed", running.id)
        finally:
            try:
                await self._imports.end(running.id, state, self._clock(), reason)
            except Unavailable:
                # It gives no further sign of life, which says the same.
                _log.warning("the end of the import %s could not be noted", running.id)

    async def _step(self, running: Import, groups: Sequence[ProductLines], limit: int) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            tags = [STORE_TAG]
            try:
                changed = await self._imports.step(running, groups, limit, self._clock())
                tags = [product_tag(each) for each in changed]
                return
            except Unavailable:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(_BACKOFF.pause_seconds(attempt))
            finally:
                await self._answers.forget(running.store, tags)


def _steps(groups: Sequence[ProductLines]) -> Iterator[list[ProductLines]]:
    """Products that are written together."""
    some: list[ProductLines] = []
    lines = 0
    for group in groups:
        if some and (len(some) == PRODUCTS_AT_ONCE or lines + len(group.lines) > LINES_AT_ONCE):
            yield some
            some, lines = [], 0
        some.append(group)
        lines += len(group.lines)
    if some:
        yield some
