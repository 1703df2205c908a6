"""Carts in Mongo: each change is one transaction that reads the cart, and a guest's cart is merged once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from connectors.mongo.async_client import Documents, answering, in_transaction
from connectors.mongo.tenants import lock_account
from connectors.mongo.times import milliseconds
from connectors.mongo.turns import Turns
from marketplace.carts.cart import EMPTY_GUEST_DAYS, GUEST_DAYS, Capped, Cart, Line, NoSuchCart, Seen, merge
from marketplace.catalog.products import Availability
from marketplace.collections import CARTS, USERS
from marketplace.identity.tenancy import hash_of_secret

Edit = Callable[[Cart], Cart]


@dataclass(frozen=True)
class Holder:
    """Whose cart.

    Attributes:
        id: Of the cart's document.
        user: The account's id; empty for a guest.
    """

    id: str
    user: str = ""

    @staticmethod
    def account(user: str) -> Holder:
        """The cart of an account, which there always is."""
        return Holder(f"user:{user}", user)

    @staticmethod
    def guest(secret: str) -> Holder:
        """The cart of whoever has this secret."""
        return Holder(f"guest:{hash_of_secret(secret)}")


@dataclass(frozen=True)
class KeptCart:
    """A cart as it is kept.

    Attributes:
        cart: Its lines.
        version: Goes up with every change; 0 for an account that has put nothing in.
        expires_at: Epoch milliseconds; None for an account's.
    """

    cart: Cart
    version: int
    expires_at: int | None


class Carts:
    """The collection ``carts``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client, self._turns = client, Turns()
        mongo = client[database]
        self._carts, self._users = mongo[CARTS.name], mongo[USERS.name]

    async def create_guest(self, secret: str, now: datetime) -> KeptCart:
        """Make an empty cart of whoever has the secret; one that was made with it already stays as it is.

        Raises:
            Unavailable: Mongo does not answer; it may be made.
        """
        holder = Holder.guest(secret)
        document = _document(holder, Cart(), 1, now)
        async with answering():
            # One that has expired may be there still: it is replaced.
            expired = {"_id": holder.id, "expires_at": {"$lte": now}}
            try:
                await self._carts.replace_one(expired, document, upsert=True)
            except DuplicateKeyError:
                kept = await self._carts.find_one({"_id": holder.id})
                return _kept(document if kept is None else kept)
        return _kept(document)

    async def get(self, holder: Holder, now: datetime) -> KeptCart:
        """A cart.

        Raises:
            NoSuchCart: It is a guest's, and there is none or it has expired.
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._carts.find_one({"_id": holder.id})
        return _there(holder, found, now)

    async def change(self, holder: Holder, edit: Edit, now: datetime) -> KeptCart:
        """Change a cart; of changes at one time each sees what the one before it did.

        Args:
            holder: Whose cart.
            edit: From the lines to the lines; it may run several times, and what it raises goes through.
            now: The time.

        Raises:
            NoSuchCart: It is a guest's, and there is none or it has expired.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be changed.
        """

        async def work(session: AsyncClientSession) -> KeptCart:
            before = await self.locked(holder, now, session)
            after = edit(before.cart)
            return before if after == before.cart else await self.write(holder, after, before, now, session)

        async with self._turns.of(holder.id):
            return await in_transaction(self._client, work)

    async def delete(self, holder: Holder, now: datetime) -> None:
        """Delete a cart; the secret of a guest's is worth nothing any more.

        Raises:
            NoSuchCart: It is a guest's, and there is none or it has expired.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may be gone.
        """

        async def work(session: AsyncClientSession) -> None:
            await self.locked(holder, now, session)
            await self._carts.delete_one({"_id": holder.id}, session=session)

        async with self._turns.of(holder.id):
            await in_transaction(self._client, work)

    async def merge(self, user: str, secret: str, now: datetime) -> tuple[KeptCart, tuple[Capped, ...] | None]:
        """Put a guest's cart into an account's, once: the guest's is gone then.

        Returns:
            The account's cart, and the lines that have fewer pieces than both carts had; None where there was no
            guest's cart, because it was merged already or has expired.

        Raises:
            CartFull: The account's cart has more lines than it may have; both stay as they are.
            NoSuchUser: There is no such account any more, or it is banned.
            Unavailable: Mongo does not answer; it may have happened, and is not done twice.
        """
        own, guest = Holder.account(user), Holder.guest(secret)

        async def work(session: AsyncClientSession) -> tuple[KeptCart, tuple[Capped, ...] | None]:
            before = await self.locked(own, now, session)
            found = await self._carts.find_one({"_id": guest.id, "expires_at": {"$gt": now}}, session=session)
            if found is None:
                return before, None
            merged = merge(before.cart, cart_of(found))
            # Two that delete one document conflict: the second one is done again, and finds none.
            await self._carts.delete_one({"_id": guest.id}, session=session)
            if merged.cart == before.cart:
                return before, merged.capped
            return await self.write(own, merged.cart, before, now, session), merged.capped

        async with self._turns.of(own.id, guest.id):
            return await in_transaction(self._client, work)

    async def forget(self, user: str, session: AsyncClientSession) -> None:
        """Delete the cart of an account, in the transaction that deletes it."""
        await self._carts.delete_one({"_id": Holder.account(user).id}, session=session)

    async def locked(self, holder: Holder, now: datetime, session: AsyncClientSession) -> KeptCart:
        """A cart, for a transaction that changes it; its account is locked.

        Raises:
            NoSuchCart: It is a guest's, and there is none or it has expired.
            NoSuchUser: There is no such account any more, or it is banned.
        """
        if holder.user:
            await lock_account(self._users, holder.user, session)
        return _there(holder, await self._carts.find_one({"_id": holder.id}, session=session), now)

    async def write(
        self, holder: Holder, cart: Cart, before: KeptCart, now: datetime, session: AsyncClientSession
    ) -> KeptCart:
        """Write a cart that was read in the same transaction by :meth:`locked`."""
        document = _document(holder, cart, before.version + 1, now)
        # Two transactions that replace one document conflict. A guest's is never made here: one that was merged at
        # this moment stays gone.
        await self._carts.replace_one({"_id": holder.id}, document, upsert=bool(holder.user), session=session)
        return _kept(document)


def _there(holder: Holder, found: Mapping[str, Any] | None, now: datetime) -> KeptCart:
    if found is None:
        if holder.user:
            return KeptCart(Cart(), 0, None)
        raise NoSuchCart("there is no such cart")
    kept = _kept(found)
    # Mongo deletes expired ones some time later.
    if kept.expires_at is not None and kept.expires_at <= milliseconds(now):
        raise NoSuchCart("there is no such cart")
    return kept


def _kept(document: Mapping[str, Any]) -> KeptCart:
    expires_at = document.get("expires_at")
    return KeptCart(cart_of(document), document["version"], None if expires_at is None else milliseconds(expires_at))


def _document(holder: Holder, cart: Cart, version: int, now: datetime) -> dict[str, Any]:
    document: dict[str, Any] = {
        "_id": holder.id,
        "version": version,
        "changed_at": milliseconds(now),
        "lines": [
            {
                **{name: getattr(line, name) for name in ("product", "variant", "store", "quantity", "added_at")},
                "seen": {
                    **asdict(line.seen),
                    "options": [list(option) for option in line.seen.options],
                    "availability": line.seen.availability.value,
                },
            }
            for line in cart.lines
        ],
    }
    if holder.user:
        return document
    days = GUEST_DAYS if cart.lines else EMPTY_GUEST_DAYS
    return {**document, "expires_at": now + timedelta(days=days)}


def cart_of(document: Mapping[str, Any]) -> Cart:
    """The cart of a document."""
    return Cart(
        tuple(
            Line(
                product=line["product"],
                variant=line["variant"],
                store=line["store"],
                quantity=line["quantity"],
                seen=Seen(
                    **{
                        **line["seen"],
                        "options": tuple((name, value) for name, value in line["seen"]["options"]),
                        "availability": Availability(line["seen"]["availability"]),
                    }
                ),
                added_at=line["added_at"],
            )
            for line in document["lines"]
        )
    )
