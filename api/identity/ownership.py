"""What the deletion of an account has to know of stores."""

from __future__ import annotations

from typing import Protocol


class StoreOwnership(Protocol):
    """Knows who owns which store."""

    async def sole_owner_of(self, user: str) -> list[str]:
        """The slugs of the stores that have this owner and no other one.

        Raises:
            Unavailable: Nobody can say now.
        """


class NoStores:
    """Nobody owns a store."""

    async def sole_owner_of(self, user: str) -> list[str]:
        """None."""
        del user
        return []
