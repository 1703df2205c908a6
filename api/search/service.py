"""Search: what the routes and the storefront ask, without HTTP."""

from __future__ import annotations

from typing import Protocol

from api.search.index import SearchIndex
from api.search.searcher import Searcher
from connectors.errors import Unavailable
from marketplace.search.answers import Found, NoSuchShop, Place, Search, Suggestion
from marketplace.search.queries import Query


class Readiness(Protocol):
    """What is known of the stores."""

    stores_known: bool


class SearchService:
    """Answers queries of buyers.

    Args:
        search: What answers them.
        known: Whether all stores were read: before, one that is not known may be there.
    """

    def __init__(self, search: Search, known: Readiness) -> None:
        self._search, self._known = search, known

    @staticmethod
    def on_index(index: SearchIndex) -> SearchService:
        """From the memory of this process."""
        return SearchService(Searcher(index), index)

    def search(self, query: Query, after: Place | None = None, limit: int = 24) -> Found:
        """A page of products.

        Args:
            query: What is looked for.
            after: The end of the page before; None for the first page.
            limit: Of hits.

        Raises:
            NoSuchShop: There is no such store.
            Unavailable: The stores were not read yet.
        """
        try:
            return self._search.search(query, after, limit)
        except NoSuchShop as error:
            self._check_known(error)
            raise

    def suggest(self, text: str, shop: str | None = None, limit: int = 10) -> list[Suggestion]:
        """What a text may go on to, the best first.

        Raises:
            NoSuchShop: There is no such store.
            Unavailable: The stores were not read yet.
        """
        try:
            return self._search.suggest(text, shop, limit)
        except NoSuchShop as error:
            self._check_known(error)
            raise

    def _check_known(self, error: NoSuchShop) -> None:
        if not self._known.stores_known:
            raise Unavailable("stores are being read for the first time") from error
