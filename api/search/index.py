"""All active products of all stores, in the memory of a process, as search and lists ask for them.

It is used by one thread. Every product has a slot, which is reused when it goes; what is asked of all products at once
is in columns of numbers, and the rest is read of the few that an answer shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from api.search.columns import Columns, Flags, Numbers
from api.search.postings import Postings
from marketplace.catalog.categories import Category
from marketplace.search.answers import NoSuchShop
from marketplace.search.entries import Card, Entry, decode_card, encode_card
from marketplace.search.ranking import Place
from marketplace.search.words import words_of

_NO_CATEGORY: Final = -1
_LEAST_DEAD: Final = 1_024
_ID_BYTES: Final = 8


@dataclass
class Node:
    """A category of one store.

    Attributes:
        category: As the store has it; None while only products name it.
        path: The slugs of it and of those above it, its own first.
        added: Its words among those of all categories.
    """

    category: Category | None = None
    path: tuple[Category, ...] = ()
    added: bytes = b""


@dataclass(frozen=True)
class Labels:
    """How categories are called: many stores have one of the same slug and name below one of the same slug.

    Attributes:
        names: Slug, name and the slug above (empty for none), each triple once.
        nodes: For each category, and each one above it, its node...
        labels: ... and the number of its triple.
    """

    names: list[tuple[str, str, str]]
    nodes: Numbers
    labels: Numbers


class SearchIndex:
    """Products, stores and categories.

    Attributes:
        products: Columns of products, by slot.
        offers: Columns of prices, with the slot of their product; -1 for none any more.
        texts: The words of products.
        names: The words of categories, by node.
        stores: The titles of stores that can be seen, by slug.
        nodes: All categories, by their number.
        nodes_of_slug: The numbers of the categories that have a slug, or are below one that has it.
        shops: The number of each store's slug.
        currencies: The number of each currency.
        complete: Whether all products were read.
        stores_known: Whether all stores were read.
    """

    def __init__(self) -> None:
        self.products = Columns(
            alive=np.bool_, store=np.int32, node=np.int32, currency=np.int16, stocked=np.bool_, ranges=np.uint8,
            stocked_ranges=np.uint8, rating=np.int8, standing=np.int32, rating_rank=np.int32, price_rank=np.int64,
            created_at=np.int64, id_head=np.int64, first=np.int32, count=np.int16, generation=np.int32,
        )  # fmt: skip
        self.offers = Columns(slot=np.int32, price=np.int64, stocked=np.bool_)
        self.texts, self.names = Postings(), Postings()
        self.stores: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.nodes_of_slug: dict[str, set[int]] = {}
        self.shops: dict[str, int] = {}
        self.currencies: dict[str, int] = {}
        self.complete = self.stores_known = False
        self.generation = 0
        self._visible = np.zeros(16, dtype=np.bool_)
        self._numbers: dict[tuple[str, str], int] = {}
        self._of_store: dict[str, set[str]] = {}
        self._slots: dict[str, int] = {}
        self._cards: list[bytes] = []
        self._added: list[bytes] = []
        self._free: list[int] = []
        self._free_nodes: list[int] = []
        self._dead_offers = 0
        self._labels: Labels | None = None

    def __len__(self) -> int:
        """How many products there are."""
        return len(self._slots)

    def put(self, entry: Entry) -> None:
        """Add a product, or replace what is there of it."""
        card = entry.card
        slot = self._slots.get(card.id)
        if slot is None:
            slot = self._new_slot(card.id)
            self._added[slot] = self.texts.add(slot, entry.words)
        else:
            self._drop_offers(slot)
            if not self.texts.same(self._added[slot], entry.words):
                self.texts.remove(slot, self._added[slot])
                self._added[slot] = self.texts.add(slot, entry.words)
        self._cards[slot] = encode_card(card)
        prices, stocked = zip(*entry.offers, strict=True)
        first = self.offers.append(slot=[slot] * len(prices), price=prices, stocked=stocked)
        self.products.set(
            slot,
            alive=True,
            store=self._shop(card.store),
            node=_NO_CATEGORY if entry.category is None else self._node(card.store, entry.category),
            currency=self.currencies.setdefault(card.currency, len(self.currencies)),
            stocked=any(stocked),
            ranges=entry.ranges,
            stocked_ranges=entry.stocked_ranges,
            rating=entry.rating,
            standing=entry.standing,
            rating_rank=entry.rating_rank,
            price_rank=entry.price_rank,
            created_at=entry.created_at,
            id_head=id_head(card.id),
            first=first,
            count=len(prices),
            generation=self.generation,
        )

    def remove(self, product_id: str) -> None:
        """Take a product out, if it is there."""
        slot = self._slots.pop(product_id, None)
        if slot is None:
            return
        self.texts.remove(slot, self._added[slot])
        self._drop_offers(slot)
        self.products.set(slot, alive=False, node=_NO_CATEGORY, count=0)
        self._cards[slot] = self._added[slot] = b""
        self._free.append(slot)

    def put_store(self, slug: str, title: str | None) -> None:
        """Name a store; None for one that nobody can see any more."""
        number = self._shop(slug)
        self._visible[number] = title is not None
        if title is None:
            self.stores.pop(slug, None)
        else:
            self.stores[slug] = title

    def put_categories(self, store: str, categories: Iterable[Category]) -> None:
        """Replace the categories of a store."""
        self._labels = None
        by_id = {category.id: category for category in categories}
        before, self._of_store[store] = self._of_store.get(store, set()), set(by_id)
        for category_id in by_id.keys() | before:
            number = self._node(store, category_id)
            node = self.nodes[number]
            self.names.remove(number, node.added)
            for slug in {each.slug for each in node.path}:
                numbers = self.nodes_of_slug[slug]
                numbers.discard(number)
                if not numbers:
                    del self.nodes_of_slug[slug]
            node.category, node.path = by_id.get(category_id), _path(category_id, by_id)
            for each in node.path:
                self.nodes_of_slug.setdefault(each.slug, set()).add(number)
            words = dict.fromkeys((word for each in node.path for word in words_of(each.name)), int(Place.NAME))
            node.added = self.names.add(number, words)
        self._release(store, before - by_id.keys())

    def stores_with_categories(self) -> set[str]:
        """The stores whose categories are known."""
        return {store for store, ids in self._of_store.items() if ids}

    def products_of(self, store: str) -> list[str]:
        """The ids of a store's products."""
        own = self.products["alive"] & (self.products["store"] == self.shops.get(store, -1))
        return [self.card(int(slot)).id for slot in np.flatnonzero(own)]

    def older_than(self, generation: int) -> list[str]:
        """The ids of products that were not put since a generation began."""
        old = self.products["alive"] & (self.products["generation"] < generation)
        return [self.card(int(slot)).id for slot in np.flatnonzero(old)]

    @property
    def labels(self) -> Labels:
        """How categories are called, in all stores together."""
        if self._labels is None:
            self._labels = _labels(self.nodes)
        return self._labels

    def card(self, slot: int) -> Card:
        """The card of a product."""
        return decode_card(self._cards[slot])

    def visible(self, shop: str | None) -> Flags:
        """The products that can be seen, by slot.

        Args:
            shop: Of this store alone.

        Raises:
            NoSuchShop: There is no such store.
        """
        alive, stores = self.products["alive"], self.products["store"]
        if shop is not None:
            if shop not in self.stores:
                raise NoSuchShop(shop)
            own: Flags = alive & (stores == self.shops[shop])
            return own
        seen: Flags = alive & self._visible[stores]
        return seen

    def _release(self, store: str, gone: set[str]) -> None:
        """Free the numbers of categories that are gone, where no product is in them.

        Otherwise whoever makes categories and deletes them makes each search, and each change of categories, dearer.
        """
        numbers = {self._numbers[store, each]: each for each in gone}
        nodes = self.products["node"]
        used = set(nodes[np.isin(nodes, list(numbers))].tolist()) if numbers else set()
        for number in numbers.keys() - used:
            del self._numbers[store, numbers[number]]
            self._free_nodes.append(number)

    def _new_slot(self, product_id: str) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._cards)
            self._cards.append(b"")
            self._added.append(b"")
        self._slots[product_id] = slot
        return slot

    def _shop(self, slug: str) -> int:
        number = self.shops.setdefault(slug, len(self.shops))
        if number >= len(self._visible):
            self._visible = np.concatenate([self._visible, np.zeros(len(self._visible), dtype=np.bool_)])
        return number

    def _node(self, store: str, category_id: str) -> int:
        number = self._numbers.get((store, category_id))
        if number is None:
            if self._free_nodes:
                number = self._free_nodes.pop()
            else:
                number = len(self.nodes)
                self.nodes.append(Node())
            self._numbers[store, category_id] = number
        return number

    def _drop_offers(self, slot: int) -> None:
        first, count = int(self.products["first"][slot]), int(self.products["count"][slot])
        self.offers["slot"][first : first + count] = -1
        self._dead_offers += count
        if self._dead_offers > _LEAST_DEAD + self.offers.length // 2:
            kept = self.offers["slot"] >= 0
            moved = np.cumsum(kept, dtype=np.int32) - 1
            firsts = self.products["first"]
            alive = self.products["alive"]
            firsts[alive] = moved[firsts[alive]]
            self.offers.keep(kept)
            self._dead_offers = 0


def id_head(product_id: str) -> int:
    """The first eight bytes of an id as a number: in the order of ids, except of those that begin in the same way."""
    head = product_id.encode()[:_ID_BYTES].ljust(_ID_BYTES, b"\0")
    # Below 2^63 for every text, in the same order: no byte of UTF-8 is above 0xF7.
    return int.from_bytes(head, "big") >> 1


def _labels(nodes: Sequence[Node]) -> Labels:
    numbers: dict[tuple[str, str, str], int] = {}
    pairs: list[tuple[int, int]] = []
    for node_number, node in enumerate(nodes):
        seen: set[str] = set()
        for at, each in enumerate(node.path):
            above = node.path[at + 1].slug if at + 1 < len(node.path) else ""
            if each.slug not in seen:
                seen.add(each.slug)
                pairs.append((node_number, numbers.setdefault((each.slug, each.name, above), len(numbers))))
    whole = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Labels(list(numbers), whole[:, 0], whole[:, 1])


def _path(category_id: str, by_id: Mapping[str, Category]) -> tuple[Category, ...]:
    path: list[Category] = []
    at: str | None = category_id
    # A tree has no circle; a document that was written past all rules might.
    while at is not None and at in by_id and by_id[at] not in path:
        path.append(by_id[at])
        at = by_id[at].parent
    return tuple(path)
