"""Orders read: of a buyer, of a store, of a checkout, how they came to be what they are, and how far they are now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.mongo.async_client import Documents, answering
from connectors.mongo.newest_pages import NewestPlace, beginnings
from connectors.mongo.orders import KeptOrder, kept_order
from connectors.mongo.times import milliseconds
from marketplace.collections import INBOX, ORDERS, OUTBOX, PAYMENTS, USERS
from marketplace.identity.emails import email_key
from marketplace.sagas.order_state import OrderState

MAX_OF_CHECKOUT: Final = 200
_NEWEST: Final = [("placed_at_ms", -1), ("_id", 1)]
MAX_EVENTS: Final = 200
"""Of an order's timeline: the newest ones."""


@dataclass(frozen=True)
class Happened:
    """An event of an order.

    Attributes:
        id: Its id.
        type: What happened.
        at: As it is written in the event.
        service: Who said it.
        handled: When which consumer has handled it, epoch milliseconds by its name.
    """

    id: str
    type: str
    at: str
    service: str
    handled: Mapping[str, int]


@dataclass(frozen=True)
class PaymentView:
    """Where the payment of an order is.

    Attributes:
        id: Its id.
        state: As the payments service says it.
        reference: The provider's own id of it; empty before it has one.
        attempts: How often the provider was asked.
        captured_minor: What the provider has taken.
        refunds: Those that were asked for, as id, amount and state.
    """

    id: str
    state: str
    reference: str
    attempts: int
    captured_minor: int
    refunds: tuple[tuple[str, int, str], ...]


class OrderReads:
    """Reads of the collection ``orders`` and of what belongs to orders.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        mongo = client[database]
        self._orders, self._payments, self._users = mongo[ORDERS.name], mongo[PAYMENTS.name], mongo[USERS.name]
        self._outbox, self._inbox = mongo[OUTBOX.name], mongo[INBOX.name]

    async def of_buyer(self, buyer: str, after: NewestPlace | None, limit: int, now_ms: int) -> list[KeptOrder]:
        """A buyer's orders, the newest first.

        Args:
            buyer: The id of the account.
            after: Behind which place; None for the first page.
            limit: At most so many.
            now_ms: The time: near it the newest ones are looked for first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._page({"buyer": buyer}, after, limit, now_ms)

    async def of_store(
        self, store: str, state: OrderState | None, search: str, after: NewestPlace | None, limit: int, now_ms: int
    ) -> list[KeptOrder]:
        """Orders of a store, the newest first.

        Args:
            store: The slug.
            state: Only those in this one; None for all.
            search: The id of an order, of a checkout or of a buyer, or a buyer's address; empty for all.
            after: Behind which place; None for the first page.
            limit: At most so many.
            now_ms: The time: near it the newest ones are looked for first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        question: dict[str, Any] = {"store": store}
        if state is not None:
            question["state"] = state.value
        if not search:
            return await self._page(question, after, limit, now_ms)
        # One question after the other: a choice between several would read all orders of the store.
        buyer = search
        if "@" in search:
            async with answering():
                user = await self._users.find_one({"email_key": email_key(search)}, {"_id": 1})
            buyer = "" if user is None else user["_id"]
        elif named := await self._named(search):
            own = [each for each in named if all(each[field] == value for field, value in question.items())]
            later = sorted((each for each in own if after is None or _position(each) > _behind(after)), key=_position)
            return [kept_order(each) for each in later[:limit]]
        return await self._page({**question, "buyer": buyer}, after, limit, now_ms) if buyer else []

    async def one(self, order: str, *, buyer: str = "", store: str = "") -> KeptOrder | None:
        """An order of a buyer or of a store; None where there is none, or it is somebody else's.

        Raises:
            Unavailable: Mongo does not answer.
        """
        owner = {"buyer": buyer} if buyer else {"store": store}
        async with answering():
            found = await self._orders.find_one({"_id": order, **owner})
        return None if found is None else kept_order(found)

    async def of_checkout(self, checkout: str, buyer: str) -> list[KeptOrder]:
        """The orders of a checkout of a buyer.

        Raises:
            Unavailable: Mongo does not answer.
        """
        question = {"checkout": checkout, "buyer": buyer}
        async with answering():
            found = await self._orders.find(question).limit(MAX_OF_CHECKOUT).to_list()
        return [kept_order(each) for each in sorted(found, key=lambda each: (each["store"], each["_id"]))]

    async def several(self, orders: Collection[str]) -> dict[str, KeptOrder]:
        """Those of these orders that there are, by id.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._orders.find({"_id": {"$in": sorted(orders)}}).to_list()
        return {each["_id"]: kept_order(each) for each in found}

    async def payment(self, order: str) -> PaymentView | None:
        """The payment of an order.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            found = await self._payments.find_one({"order": order})
        if found is None:
            return None
        refunds = tuple((each["id"], each["amount_minor"], each["state"]) for each in found["refunds"])
        captured = found["amount_minor"] if found["state"] == "completed" else 0
        return PaymentView(
            found["_id"], found["state"], found["reference"], found["attempts"], captured, refunds
        )  # fmt: skip

    async def timeline(self, order: str) -> list[Happened]:
        """What was said of an order, the oldest first, and who has handled it.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            rows = await self._outbox.find({"aggregateid": order}).sort("created_at", -1).limit(MAX_EVENTS).to_list()
            inbox = await self._inbox.find({"order": order}).sort("handled_at", -1).limit(4 * MAX_EVENTS).to_list()
        handled: dict[str, dict[str, int]] = {}
        for each in inbox:
            consumer, _, event = str(each["_id"]).partition(":")
            handled.setdefault(event, {})[consumer] = milliseconds(each["handled_at"])
        events = [
            Happened(
                row["_id"],
                row["type"],
                row["ce_time"],
                str(row["ce_source"]).rpartition("/")[2],
                handled.get(row["_id"], {}),
            )
            for row in rows
        ]
        return sorted(events, key=lambda each: (each.at, each.id))

    async def names(self, users: Collection[str]) -> dict[str, tuple[str, str]]:
        """Names and addresses of these accounts, of those that there are.

        Raises:
            Unavailable: Mongo does not answer.
        """
        fields = {"name": 1, "email": 1}
        async with answering():
            found = await self._users.find({"_id": {"$in": sorted(users)}}, fields).to_list()
        return {each["_id"]: (each["name"], each["email"]) for each in found}

    async def bought(self, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these pairs of an account and a product where the account has bought the product and kept some.

        Raises:
            Unavailable: Mongo does not answer.
        """
        wanted = set(pairs)
        if not wanted:
            return set()
        question = {
            "buyer": {"$in": sorted({user for user, _ in wanted})},
            "state": OrderState.CONFIRMED.value,
            "lines.product": {"$in": sorted({product for _, product in wanted})},
        }
        async with answering():
            found = await self._orders.find(question, {"buyer": 1, "lines": 1}).to_list()
        return wanted & {
            (each["buyer"], line["product"])
            for each in found
            for line in each["lines"]
            if line["returned"] < line["quantity"]
        }

    async def _named(self, name: str) -> list[dict[str, Any]]:
        """The order of that id, or those of that checkout, whosever they are."""
        async with answering():
            own = await self._orders.find_one({"_id": name})
            if own is not None:
                return [own]
            return await self._orders.find({"checkout": name}).limit(MAX_OF_CHECKOUT).to_list()

    async def _page(
        self, question: Mapping[str, Any], after: NewestPlace | None, limit: int, now_ms: int
    ) -> list[KeptOrder]:
        # SecantusDB takes no index for an $or: those of the moment at which the page begins are asked for first.
        found: list[dict[str, Any]] = []
        more: list[dict[str, Any]] = []
        before: dict[str, int] = {}
        async with answering():
            if after is not None:
                same = self._orders.find({**question, "placed_at_ms": after.at_ms}).sort(_NEWEST)
                found = [row for row in await same.to_list() if row["_id"] > after.id][:limit]
                before = {"$lt": after.at_ms}
            wanted = limit - len(found)
            for since_ms in beginnings(now_ms if after is None else after.at_ms) if wanted else ():
                within = {**question, "placed_at_ms": {"$gt": since_ms - 1, **before}}
                more = await self._orders.find(within).sort(_NEWEST).limit(wanted).to_list()
                if len(more) == wanted:
                    break
        return [kept_order(each) for each in (*found, *more)]


def _position(document: Mapping[str, Any]) -> tuple[int, str]:
    """Where an order is in lists, the newest first."""
    return -document["placed_at_ms"], document["_id"]


def _behind(place: NewestPlace) -> tuple[int, str]:
    return -place.at_ms, place.id
