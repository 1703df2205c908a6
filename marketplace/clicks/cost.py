"""What a store's events cost those who count them, and how much of it a store may spend.

An event of known values costs the click flow some 13 us, one whose page, user agent, campaign, product and referrer are
all new 575 us: each new value is parsed, encoded and has rows of its own. So a store spends units and not events, and
what it has sent lately is remembered, as hashes, to know what is new. Time is passed in.
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
"""A body costs at least its length in these, whatever it holds: reading it is work as well."""

NEW_PAGE_UNITS: Final = 8
NEW_REFERRER_UNITS: Final = 4
NEW_PRODUCT_UNITS: Final = 6
NEW_CAMPAIGN_UNITS: Final = 8
NEW_AGENT_UNITS: Final = 20
MOST_VALUES: Final = 16_384
"""Values of a kind of one store that are surely remembered."""

_MOST_IN_ALL: Final = 2_000_000
_MOST_STORES: Final = 50_000

Reason = Literal["rate", "new_values"]
"""Why a store is turned away: too many events or bytes, or too many values that were new."""

REASONS: Final[tuple[Reason, ...]] = ("rate", "new_values")

_url, _product, _referrer = attrgetter("url"), attrgetter("product"), attrgetter("referrer")
_EMPTY: Final = {hash("")}
"""What is not there is not new."""


class RecentHashes:
    """Hashes of the last ``most`` to ``2 * most`` distinct values.

    Args:
        most: The bound of a generation; a full one becomes the older of two, and the older one is forgotten.
    """

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def add(self, values: Iterable[str]) -> set[int]:
        """Remember values and give the hashes of those that were not known."""
        new = set(map(hash, values)) - self._recent
        if new:
            known = new & self._older
            self._recent |= new
            new -= known
            if len(self._recent) >= self._most:
                self._older, self._recent = self._recent, set()
        return new


class SeenValues:
    """What one store sent lately, kind by kind.

    Args:
        most: Values of each kind; see :class:`RecentHashes`.
    """

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._urls, self._products, self._referrers = RecentHashes(most), RecentHashes(most), RecentHashes(most)
        self._pages, self._campaigns, self._agents = RecentHashes(most), RecentHashes(most), RecentHashes(most)

    def __len__(self) -> int:
        kinds = (self._urls, self._products, self._referrers, self._pages, self._campaigns, self._agents)
        return sum(map(len, kinds))

    def add_units(self, events: Sequence[ClientEvent], agents: Iterable[str], times: int = 1) -> int:
        """Remember what events hold, and give what their new values cost.

        Args:
            events: Those of one request.
            agents: The user agents they came with.
            times: How many events each of them stands for.
        """
        urls = set(map(_url, events))
        new_urls = self._urls.add(urls)
        units = self._page_units([url for url in urls if hash(url) in new_urls]) if new_urls else 0
        units += NEW_PRODUCT_UNITS * len(self._products.add(set(map(_product, events))) - _EMPTY)
        units += NEW_REFERRER_UNITS * len(self._referrers.add(set(map(_referrer, events))) - _EMPTY)
        return times * units + NEW_AGENT_UNITS * len(self._agents.add(agents) - _EMPTY)

    def _page_units(self, urls: Iterable[str]) -> int:
        pages, campaigns = set(), set()
        for url in urls:
            page, _, query = url.partition("?")
            pages.add(page)
            # As the flow reads it: however its letters are written.
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
    """Of what was spent and has not come back, the part that was spent on new values."""


class StoreBudgets:
    """Units by store, at most so many stores; the least recently used one is forgotten, which fills it.

    A store may spend while it has a unit, and then owes what it spent beyond: nobody knows what a body costs before
    it was read.

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
        """None where the store may send; else after how many seconds it may, and why not now.

        Args:
            name: Whose budget.
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
        """Take what was sent from the budget, which may go below nothing.

        Args:
            name: Whose budget.
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
    """What each store sent lately, within a bound for all of them; the store not heard of for longest is forgotten.

    Args:
        most: Of one store; see :class:`SeenValues`.
        most_in_all: Of all stores together; one store alone holds a small part of it.
    """

    def __init__(self, most: int = MOST_VALUES, most_in_all: int = _MOST_IN_ALL) -> None:
        self._most, self._most_in_all = most, max(most_in_all, 12 * most)
        self._stores: OrderedDict[str, SeenValues] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add_units(self, store: str, events: Sequence[ClientEvent], agents: Iterable[str], times: int = 1) -> int:
        """What the new values of a store's events cost; see :meth:`SeenValues.add_units`."""
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
