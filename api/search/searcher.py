"""Answers queries from the index: which products match, which page of them, and how many with other filters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.search.columns import Flags, Numbers
from api.search.index import SearchIndex, id_head
from marketplace.catalog.categories import Category
from marketplace.search.answers import CategoryCount, Facets, Found, Hit, Place, PriceCount, Suggestion
from marketplace.search.queries import Filters, Query, Sort, Words, price_ranges, words_in
from marketplace.search.ranking import MAX_STANDING
from marketplace.search.stems import stem
from marketplace.search.words import folded, words_of

MAX_CATEGORIES: Final = 100
"""Of a facet; those with most hits."""

MAX_CURRENCIES: Final = 5
"""Whose ranges of prices are counted; those with most hits."""

_RATINGS: Final = (4, 3, 2, 1)
_SUGGESTED_CATEGORIES: Final = 3
_OF_EQUAL_TITLES: Final = 5
_NOTHING: Final = Words((), open=False)

Keys = NDArray[np.int64]


@dataclass(frozen=True)
class _Masks:
    """Which products meet each group of conditions, by slot.

    Attributes:
        matched: They can be seen, and have the words.
        category: The category.
        currency: The currency.
        offers: Price and stock.
        rating: The rating.
    """

    matched: Flags
    category: Flags
    currency: Flags
    offers: Flags
    rating: Flags


class Searcher:
    """Answers from an index; see :class:`marketplace.search.answers.Search`.

    Args:
        index: Where products are.
    """

    def __init__(self, index: SearchIndex) -> None:
        self._index = index

    def search(self, query: Query, after: Place | None, limit: int) -> Found:
        """A page of products.

        Raises:
            NoSuchShop: There is none of the slug that is asked for.
        """
        visible, words = self._index.visible(query.shop), words_in(query.text)
        lenient = after.lenient if after is not None else False
        matched, points = self._matched(words, visible, lenient=lenient)
        if after is None and words is not None and not matched.any():
            lenient = True
            matched, points = self._matched(words, visible, lenient=True)
        filters = query.filters
        masks = _Masks(
            matched,
            self._in_category(filters.category),
            self._in_currency(filters.currency),
            self._offered(filters, stocked=filters.in_stock),
            self._rated(filters.rating),
        )
        hits = np.flatnonzero(masks.matched & masks.category & masks.currency & masks.offers & masks.rating)
        keys = self._keys(query.sort, points, hits)
        page, more = self._page(hits, keys, after, limit)
        facets = self._facets(masks, filters)
        last = page[-1] if page and more else None
        return Found(
            tuple(self._hit(slot) for _, _, slot in page),
            len(hits),
            facets,
            None if last is None else Place(last[0], last[1], lenient),
            lenient,
            self._index.complete,
        )

    def suggest(self, text: str, shop: str | None, limit: int) -> list[Suggestion]:
        """What a text may go on to: categories whose own name matches, and titles.

        Raises:
            NoSuchShop: There is none of the slug that is asked for.
        """
        visible, words = self._index.visible(shop), words_in(text) or _NOTHING
        matched, points = self._matched(words, visible, lenient=False)
        lenient = not matched.any()
        if lenient:
            matched, points = self._matched(words, visible, lenient=True)
        found = self._suggested_categories(words, visible)[: min(_SUGGESTED_CATEGORIES, limit)]
        hits = np.flatnonzero(matched)
        page, _ = self._page(hits, self._keys(Sort.RELEVANCE, points, hits), None, _OF_EQUAL_TITLES * limit)
        seen: set[str] = set()
        for _, _, slot in page:
            card = self._index.card(slot)
            if len(found) < limit and folded(card.title) not in seen:
                seen.add(folded(card.title))
                found.append(Suggestion(card.title, "product", card.slug, card.store))
        return found

    def _matched(self, words: Words | None, visible: Flags, *, lenient: bool) -> tuple[Flags, Numbers]:
        """The products that have all words, and the points that they get for them."""
        index = self._index
        total = np.zeros(len(visible), dtype=np.int64)
        if words is None:
            return visible, total
        if not words.words:
            return np.zeros(len(visible), dtype=np.bool_), total
        matched, nodes = visible.copy(), index.products["node"]
        of_texts = index.texts.points(words, len(visible), lenient=lenient)
        # One more than there are nodes: the last one is that of products without a category, whose number is -1.
        of_names = index.names.points(words, len(index.nodes) + 1, lenient=lenient)
        for in_text, in_name in zip(of_texts, of_names, strict=True):
            best = np.maximum(in_text, in_name[nodes]) if in_name.any() else in_text
            matched &= best > 0
            total += best
        return matched, total

    def _in_category(self, slug: str | None) -> Flags:
        if slug is None:
            return self._all()
        of_nodes = np.zeros(len(self._index.nodes) + 1, dtype=np.bool_)
        of_nodes[list(self._index.nodes_of_slug.get(slug, ()))] = True
        inside: Flags = of_nodes[self._index.products["node"]]
        return inside

    def _in_currency(self, currency: str | None) -> Flags:
        if currency is None:
            return self._all()
        own: Flags = self._index.products["currency"] == self._index.currencies.get(currency, -1)
        return own

    def _rated(self, rating: int | None) -> Flags:
        if rating is None:
            return self._all()
        rated: Flags = self._index.products["rating"] >= rating
        return rated

    def _offered(self, filters: Filters, *, stocked: bool) -> Flags:
        """Products with one variant that meets all conditions on variants."""
        if filters.price_min is None and filters.price_max is None:
            return self._index.products["stocked"] if stocked else self._all()
        slots, prices = self._index.offers["slot"], self._index.offers["price"]
        good = slots >= 0
        if filters.price_min is not None:
            good &= prices >= filters.price_min
        if filters.price_max is not None:
            good &= prices <= filters.price_max
        if stocked:
            good &= self._index.offers["stocked"]
        found = np.zeros(self._index.products.length, dtype=np.bool_)
        found[slots[good]] = True
        return found

    def _all(self) -> Flags:
        return np.ones(self._index.products.length, dtype=np.bool_)

    def _keys(self, sort: Sort, points: Numbers, hits: Numbers) -> Keys:
        """The sort key of each hit: the higher one comes first, and of equal ones the lower id."""
        products = self._index.products
        if sort is Sort.RELEVANCE:
            return points[hits] * MAX_STANDING + products["standing"][hits]
        if sort is Sort.NEWEST:
            return products["created_at"][hits]
        if sort is Sort.RATING:
            return products["rating_rank"][hits].astype(np.int64)
        prices = products["price_rank"][hits]
        return prices if sort is Sort.PRICE_DOWN else -prices

    def _page(
        self, hits: Numbers, keys: Keys, after: Place | None, limit: int
    ) -> tuple[list[tuple[int, str, int]], bool]:
        """The keys, ids and slots of a page, in order, and whether others follow."""
        heads = self._index.products["id_head"][hits]
        if after is not None:
            head = id_head(after.id)
            rest = (keys < after.key) | ((keys == after.key) & (heads > head))
            # Of ids that begin in the same way, which are few, the whole decides.
            for at in np.flatnonzero((keys == after.key) & (heads == head)).tolist():
                rest[at] = self._index.card(hits[at]).id > after.id
            hits, keys, heads = hits[rest], keys[rest], heads[rest]
        wanted = limit + 1  # which says whether there is a next page
        if len(hits) > wanted:
            least = np.partition(keys, len(keys) - wanted)[len(keys) - wanted]
            above, equal = keys > least, np.flatnonzero(keys == least)
            missing = wanted - int(np.count_nonzero(above))
            if len(equal) > missing:
                highest = np.partition(heads[equal], missing - 1)[missing - 1]
                equal = equal[heads[equal] <= highest]
            chosen = np.concatenate([np.flatnonzero(above), equal])
            hits, keys = hits[chosen], keys[chosen]
        named = [(key, self._index.card(slot).id, slot) for key, slot in zip(keys.tolist(), hits.tolist(), strict=True)]
        named.sort(key=lambda each: (-each[0], each[1]))
        return named[:limit], len(named) > limit

    def _hit(self, slot: int) -> Hit:
        card = self._index.card(slot)
        return Hit(card, self._index.stores[card.store])

    def _facets(self, masks: _Masks, filters: Filters) -> Facets:
        products = self._index.products
        found, rated = masks.matched & masks.currency, masks.matched & masks.rating
        without_rating = found & masks.category & masks.offers
        stocked = found & masks.category & masks.rating & self._offered(filters, stocked=True)
        ratings = products["rating"][without_rating]
        priced = rated & masks.category
        of_currency = priced & products["stocked"] if filters.in_stock else priced
        currencies = self._currencies(of_currency)
        shown = [each for each, _ in currencies[:MAX_CURRENCIES]] if filters.currency is None else [filters.currency]
        return Facets(
            self._categories(found & masks.offers & masks.rating),
            tuple(currencies),
            tuple(each for currency in shown for each in self._prices(priced, currency, stocked=filters.in_stock)),
            int(np.count_nonzero(stocked)),
            tuple((least, int(np.count_nonzero(ratings >= least))) for least in _RATINGS),
        )

    def _currencies(self, flags: Flags) -> list[tuple[str, int]]:
        counts = np.bincount(self._index.products["currency"][flags], minlength=len(self._index.currencies)).tolist()
        found = [(code, counts[number]) for code, number in self._index.currencies.items() if counts[number]]
        return sorted(found, key=lambda each: (-each[1], each[0]))

    def _prices(self, flags: Flags, currency: str, *, stocked: bool) -> list[PriceCount]:
        products = self._index.products
        own = flags & (products["currency"] == self._index.currencies.get(currency, -1))
        bits = products["stocked_ranges" if stocked else "ranges"][own]
        counts = [int(np.count_nonzero(bits & (1 << at))) for at in range(len(price_ranges(currency)))]
        return [
            PriceCount(currency, low, high, count)
            for (low, high), count in zip(price_ranges(currency), counts, strict=True)
            if count
        ]

    def _categories(self, flags: Flags) -> tuple[CategoryCount, ...]:
        labels, named = self._index.labels, dict[str, Counter[tuple[str, str]]]()
        of_nodes = self._of_nodes(flags)[labels.nodes]
        counts = np.bincount(labels.labels, weights=of_nodes, minlength=len(labels.names))
        for number in np.flatnonzero(counts).tolist():
            slug, name, above = labels.names[number]
            named.setdefault(slug, Counter())[name, above] += int(counts[number])
        found = []
        for slug, names in named.items():
            name, above = min(names, key=lambda each: (-names[each], each))
            found.append(CategoryCount(slug, name, above or None, names.total()))
        return tuple(sorted(found, key=lambda each: (-each.count, each.slug))[:MAX_CATEGORIES])

    def _of_nodes(self, flags: Flags) -> Numbers:
        nodes = self._index.products["node"][flags]
        return np.bincount(nodes[nodes >= 0], minlength=len(self._index.nodes))

    def _suggested_categories(self, words: Words, visible: Flags) -> list[Suggestion]:
        if not words.words:
            return []
        points = self._index.names.points(words, len(self._index.nodes), lenient=False)
        matching = np.flatnonzero(np.logical_and.reduce([each > 0 for each in points])).tolist()
        counts, of_slugs = self._of_nodes(visible) if matching else np.zeros(0), Counter[str]()
        categories: dict[str, Category] = {}
        for number in matching:
            category = self._index.nodes[number].path[0]
            # Its place among the others may have matched, and not itself.
            if counts[number] and _names_match(category.name, words):
                of_slugs[category.slug] += int(counts[number])
                categories.setdefault(category.slug, category)
        ordered = sorted(of_slugs, key=lambda slug: (-of_slugs[slug], slug))
        return [Suggestion(categories[slug].name, "category", slug, None) for slug in ordered]


def _names_match(name: str, words: Words) -> bool:
    own = words_of(name)
    stems = {stem(word) for word in own}
    return all(stem(word) in stems or any(each.startswith(word) for each in own) for word in words.words)
