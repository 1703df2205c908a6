"""The goals of stores: what the routes and ``marketplace stores goals`` do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.mongo.tenant_stores import Change, TenantStores
from marketplace.goals import Goal
from marketplace.identity.roles import Permission
from marketplace.identity.tenancy import NoSuchThing, StoreRecord
from marketplace.stores import Store


class StoreGoals:
    """Gives stores goals, and takes them off.

    Args:
        stores: Where the stores are.
    """

    def __init__(self, stores: TenantStores) -> None:
        self._stores = stores

    async def put(
        self, slug: str, goal: Goal, actor: str | None = None, version: int | None = None, *, replaces: bool = True
    ) -> StoreRecord:
        """Give a store a goal, in the place of the one of that name where there is one.

        Args:
            slug: The store's.
            goal: The goal.
            actor: Who asks; None for the operator, who may.
            version: The one of the store that is edited; None for whatever is there.
            replaces: Whether it may take the place of another one.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
            Stale: It has another version.
            InvalidStore: It would have too many goals, or two of that name.
            Unavailable: Mongo does not answer; it may be there.
        """

        def change(store: Store) -> Mapping[str, Any]:
            if not replaces or goal.name not in [each.name for each in store.goals]:
                return {"goals": (*store.goals, goal)}
            return {"goals": tuple(goal if each.name == goal.name else each for each in store.goals)}

        return await self._change(slug, actor, change, version)

    async def remove(self, slug: str, name: str, actor: str | None = None, version: int | None = None) -> StoreRecord:
        """Take a goal from a store; the events that reached it stay.

        Args:
            slug: The store's.
            name: The goal's.
            actor: Who asks; None for the operator, who may.
            version: The one of the store that is edited; None for whatever is there.

        Raises:
            NoSuchStore: There is none.
            NoSuchThing: It has no such goal.
            NotAllowed: Who asks may not, by the role of now.
            Stale: It has another version.
            Unavailable: Mongo does not answer; it may be gone.
        """

        def change(store: Store) -> Mapping[str, Any]:
            left = tuple(goal for goal in store.goals if goal.name != name)
            if len(left) == len(store.goals):
                raise NoSuchThing("the store has no goal of that name")
            return {"goals": left}

        return await self._change(slug, actor, change, version)

    async def _change(self, slug: str, actor: str | None, change: Change, version: int | None) -> StoreRecord:
        if actor is None:
            return await self._stores.edit(slug, change, version)
        return await self._stores.edit_as(slug, actor, Permission.EDIT_STORE, change, version)
