"""Stock: what sellers do with it, without HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.mongo.async_client import Documents
from connectors.mongo.idempotency import AnswerOf, Claim
from connectors.mongo.product_reads import ProductReads
from connectors.mongo.stock_changes import By, Change, KeptMovement, StockChanges
from marketplace.catalog.products import Product
from marketplace.inventory.levels import Level, NotCounted

Forget = Callable[[str, list[str]], Awaitable[None]]


@dataclass(frozen=True)
class Levels:
    """Levels with the products that they are of.

    Attributes:
        levels: Of variants.
        products: Those that there are, by id.
        next: The variant that the next page comes behind; empty where there is none.
    """

    levels: list[Level]
    products: Mapping[str, Product]
    next: str = ""


class StockService:
    """Reads and changes the stock of stores.

    Args:
        changes: Where it is.
        products: What it is of.
        forget: Is called after buyers are shown products otherwise.
        clock: The time.
    """

    def __init__(
        self, changes: StockChanges, products: ProductReads, forget: Forget, clock: Callable[[], datetime]
    ) -> None:
        self._changes, self._products, self._forget, self._clock = changes, products, forget, clock

    @staticmethod
    def on_mongo(
        client: Documents,
        database: str,
        forget: Forget,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> StockService:
        """On the collections of a database; the caller closes the client."""
        return StockService(StockChanges(client, database), ProductReads(client, database), forget, clock)

    async def move(self, by: By, changes: Collection[Change], claim: Claim, answer_of: AnswerOf[Levels]) -> Levels:
        """Let goods come or go; see :meth:`StockChanges.move` for the errors."""
        products = await self._products.many(each.product for each in changes)
        levels, touched = await self._changes.move(
            by, changes, claim, lambda done: answer_of(Levels(done, products)), self._clock()
        )
        for store, ids in sorted(touched.products.items()):
            await self._forget(store, sorted(ids))
        return Levels(levels, products)

    async def set_low(self, by: By, variant: str, low_at: int | None) -> Levels:
        """Say from when on there is too little; see :meth:`StockChanges.set_low` for the errors."""
        return await self._with_products([await self._changes.set_low(by, variant, low_at, self._clock())])

    async def stop(self, by: By, variant: str) -> None:
        """Count a variant no more; see :meth:`StockChanges.stop` for the errors."""
        await self._changes.stop(by, variant, self._clock())

    async def page(self, store: str, after: str, limit: int) -> Levels:
        """A page of a store's levels, by variant.

        Args:
            store: The slug.
            after: Only those behind this variant.
            limit: At most so many.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._changes.page(store, after, limit + 1)
        return await self._with_products(found[:limit], found[limit - 1].variant if len(found) > limit else "")

    async def history(
        self, store: str, variant: str, before: tuple[int, str] | None, limit: int
    ) -> tuple[list[KeptMovement], bool]:
        """A page of a variant's ledger, the newest first, and whether there are more.

        Raises:
            NotCounted: The store never counted such a variant.
            Unavailable: Mongo does not answer.
        """
        found = await self._changes.history(store, variant, before, limit + 1)
        if found is None:
            raise NotCounted("the store has no such variant that is counted")
        return found[:limit], len(found) > limit

    async def _with_products(self, levels: list[Level], place: str = "") -> Levels:
        return Levels(levels, await self._products.many(level.product for level in levels), place)
