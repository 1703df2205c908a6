"""The cost of a store's events for the click flow, and each store's budget.

An event of known values costs the click flow some 13 us, one whose page, user agent, campaign, product and referrer are
all new 575 us: each new value is parsed, encoded and has rows of its own. So a store spends units and not events, and
hashes of its recent values are kept, to know which ones are new. Time is passed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal
from urllib.parse import unquote

from marketplace.clicks.collect import ClientEvent
from marketplace.token_bucket import BucketPolicy

BYTES_PER_UNIT: Final = 512
"""A body costs at least one unit for this many bytes, because reading it is work as well."""

NEW_PAGE_UNITS: Final = 8
NEW_REFERRER_UNITS: Final = 4
NEW_PRODUCT_UNITS: Final = 6
NEW_CAMPAIGN_UNITS: Final = 8
NEW_AGENT_UNITS: Final = 20
NEW_NAMED_UNITS: Final = 2
MOST_VALUES: Final = 16_384
"""The number of values of each kind and store that are certainly kept."""

_MOST_IN_ALL: Final = 2_000_000
_MOST_STORES: Final = 50_000

Reason = Literal["rate", "new_values"]
"""Reasons to turn a store away: too many events or bytes, or too many new values."""

REASONS: Final[tuple[Reason, ...]] = ("rate", "new_values")

_url, _product, _referrer = attrgetter("url"), attrgetter("product"), attrgetter("referrer")
_EMPTY: Final = {hash("")}
"""An empty value is never new."""


class RecentHashes:
    """Hashes of the last ``most`` to ``2 * most`` distinct values.

    Args:
        most: The size of a generation; when the newer one is full, it becomes the older one, which is dropped.
    """

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def add(self, values: Iterable[str]) -> set[int]:
        """Add values; returns the hashes of those that were new."""
        new = set(map(hash, values)) - self._recent
        if new:
            known = new & self._older
            self._recent |= new
            new -= known
            if len(self._recent) >= self._most:
                self._older, self._recent = self._recent, set()
        return new


class SeenValues:
    """Recent values of one store, by kind.

    Args:
        most: Values of each kind; see :class:`RecentHashes`.
    """

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._urls, self._products, self._referrers = RecentHashes(most), RecentHashes(most), RecentHashes(most)
        self._pages, self._campaigns, self._agents = RecentHashes(most), RecentHashes(most), RecentHashes(most)
        self._named = RecentHashes(most)

    def __len__(self) -> int:
        kinds = (self._urls, self._products, self._referrers, self._pages, self._campaigns, self._agents, self._named)
        return sum(map(len, kinds))

    def add_units(self, events: Sequence[ClientEvent], agents: Iterable[str], times: int = 1) -> int:
        """Add the values of events; returns the units that the new ones cost.

        Args:
            events: The events of one request.
            agents: The user agents they came with.
            times: How many events each of them represents.
        """
        urls = set(map(_url, events))
        new_urls = self._urls.add(urls)
        units = self._page_units([url for url in urls if hash(url) in new_urls]) if new_urls else 0
        units += NEW_PRODUCT_UNITS * len(self._products.add(set(map(_product, events))) - _EMPTY)
        units += NEW_REFERRER_UNITS * len(self._referrers.add(set(map(_referrer, events))) - _EMPTY)
        named = {f"{event.name} {event.properties}" for event in events if event.name}
        units += NEW_NAMED_UNITS * len(self._named.add(named)) if named else 0
        return times * units + NEW_AGENT_UNITS * len(self._agents.add(agents) - _EMPTY)

    def _page_units(self, urls: Iterable[str]) -> int:
        pages, campaigns = set(), set()
        for url in urls:
            page, _, query = url.partition("?")
            pages.add(page)
            # Decoded and in lower case, as the flow reads it.
            query = unquote(query).lower()
            if "utm_" in query or "campaign" in query:
                campaigns.add("&".join(part for part in query.split("&") if "utm_" in part or "campaign" in part))
        units = NEW_PAGE_UNITS * len(self._pages.add(pages) - _EMPTY)
        return units + NEW_CAMPAIGN_UNITS * len(self._campaigns.add(campaigns))


@dataclass(slots=True)
class _Account:
    tokens: float
    since: float
    new_share: float = 0.0
    """Units that were spent on new values and have not been paid back yet."""


class StoreBudgets:
    """Budgets of units, for a bounded number of stores; the least recently used one is dropped, and full again.

    A store may send while it has a unit, and may go into debt, because the cost of a body is not known before it was
    read.

    Args:
        policy: The same for every store; a rate of 0 switches the bound off.
        most_stores: The bound on memory.
    """

    def __init__(self, policy: BucketPolicy, *, most_stores: int = _MOST_STORES) -> None:
        self._policy, self._most_stores = policy, most_stores
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    @property
    def bounded(self) -> bool:
        """Whether anything is ever refused."""
        return self._policy.rate_per_second > 0

    def refusal(self, name: str, now: float) -> tuple[float, Reason] | None:
        """None if the store may send; otherwise the seconds until it may, and the reason.

        Args:
            name: The store's slug.
            now: Seconds of a monotonic clock; going back counts as standing still.
        """
        if self._policy.rate_per_second <= 0:
            return None
        account = self._account(name, now)
        needed = min(1.0, self._policy.burst)
        if account.tokens >= needed:
            return None
        reason: Reason = "new_values" if account.new_share > 0.5 else "rate"
        return (needed - account.tokens) / self._policy.rate_per_second, reason

    def spend(self, name: str, units: float, new_units: float, now: float) -> None:
        """Charge the budget, which may become negative.

        Args:
            name: The store's slug.
            units: For events and bytes.
            new_units: For new values.
            now: As above.
        """
        if self._policy.rate_per_second <= 0:
            return
        account = self._account(name, now)
        spent_before = self._policy.burst - account.tokens
        spent = spent_before + units + new_units
        if spent > 0:
            account.new_share = (account.new_share * spent_before + new_units) / spent
        account.tokens -= units + new_units

    def _account(self, name: str, now: float) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account(self._policy.burst, now)
            while len(self._accounts) > self._most_stores:
                self._accounts.popitem(last=False)
            return account
        self._accounts.move_to_end(name)
        if now > account.since:
            back = (now - account.since) * self._policy.rate_per_second
            account.tokens, account.since = min(self._policy.burst, account.tokens + back), now
        return account


class SeenByStore:
    """Recent values of all stores, within a common bound; the least recently used store is dropped.

    Args:
        most: The bound for each kind of one store; see :class:`SeenValues`.
        most_in_all: The bound for all stores together; one store alone takes a small part of it.
    """

    def __init__(self, most: int = MOST_VALUES, most_in_all: int = _MOST_IN_ALL) -> None:
        self._most, self._most_in_all = most, max(most_in_all, 14 * most)
        self._stores: OrderedDict[str, SeenValues] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add_units(self, store: str, events: Sequence[ClientEvent], agents: Iterable[str], times: int = 1) -> int:
        """The units that the new values of a store's events cost; see :meth:`SeenValues.add_units`."""
        seen = self._stores.get(store)
        if seen is None:
            seen = self._stores[store] = SeenValues(self._most)
        else:
            self._stores.move_to_end(store)
        before = len(seen)
        units = seen.add_units(events, agents, times)
        self._size += len(seen) - before
        while self._size > self._most_in_all and len(self._stores) > 1:
            self._size -= len(self._stores.popitem(last=False)[1])
        return units
