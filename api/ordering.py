"""What turns carts into orders: the services of orders and stock, and the keys of what is done once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from api.orders.progress import Progress
from api.orders.service import Forget, OrderService, forget_nothing
from api.stock.service import StockService
from connectors.mongo.async_client import Documents
from connectors.mongo.idempotency import IdempotencyKeys
from connectors.mongo.order_reads import OrderReads


@dataclass(frozen=True)
class Ordering:
    """Orders and stock.

    Attributes:
        orders: Of the routes of orders.
        stock: Of the routes of stock.
        progress: Follows orders for those who want to know.
        keys: Of requests that are done once.
        clock: The time.
    """

    orders: OrderService
    stock: StockService
    progress: Progress
    keys: IdempotencyKeys
    clock: Callable[[], datetime]

    @staticmethod
    def on_mongo(
        client: Documents,
        database: str,
        forget: Forget = forget_nothing,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Ordering:
        """On the collections of a database; the caller closes the client.

        Args:
            client: A connected client.
            database: The database's name.
            forget: Is called after buyers are shown products of a store otherwise.
            clock: The time.
        """
        return Ordering(
            OrderService.on_mongo(client, database, forget, clock),
            StockService.on_mongo(client, database, forget, clock),
            Progress(OrderReads(client, database).several),
            IdempotencyKeys(client, database),
            clock,
        )
