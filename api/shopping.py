"""What buyers do: the services of carts, reviews and notifications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from api.carts.service import CartService
from api.notifications.service import NotificationService
from api.reviews.service import ReviewService, StarsChanged, tell_nobody
from connectors.mongo.async_client import Documents


@dataclass(frozen=True)
class Shopping:
    """Carts, reviews and notifications.

    Attributes:
        carts: Of the routes of carts.
        reviews: Of the routes of reviews.
        notifications: Of the routes of notifications.
    """

    carts: CartService
    reviews: ReviewService
    notifications: NotificationService

    @staticmethod
    def on_mongo(
        client: Documents,
        database: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        stars_changed: StarsChanged = tell_nobody,
    ) -> Shopping:
        """On the collections of a database; the caller closes the client.

        Args:
            client: A connected client.
            database: The database's name.
            clock: The time.
            stars_changed: Is called after the stars of a product may have changed.
        """
        return Shopping(
            CartService.on_mongo(client, database, clock),
            ReviewService.on_mongo(client, database, clock, stars_changed),
            NotificationService.on_mongo(client, database),
        )
