"""What one address and one store may ask of the collector."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ingest.config import CollectorConfig
from ingest.faults import HttpFault
from marketplace.clicks.client_address import bucket_name
from marketplace.clicks.collect import ValidEvent
from marketplace.clicks.cost import BYTES_PER_UNIT, Reason, SeenByStore, StoreBudgets
from marketplace.clicks.history import ImportedEvent
from marketplace.clicks.record import Client
from marketplace.stores import Store
from marketplace.token_bucket import TokenBuckets

TurnedAway = Callable[[Store, Reason, int], None]
"""Counts a request that was turned away: whose it was, why, and how many events it held at least."""

_FEW_EVENTS: Final = 32
_EVENT: Final = b'"event_id"'
_MESSAGES: Final[dict[Reason, str]] = {
    "rate": "too many events of this store",
    "new_values": "this store owes for too many new pages, products, campaigns, referrers or user agents",
}
_CODES: Final[dict[Reason, str]] = {"rate": "rate_limited", "new_values": "too_many_new_values"}


class Limits:
    """The bounds of one collector process; each has its own, and a restart forgets what was used.

    Args:
        config: How much is granted.
        monotonic: Seconds of a monotonic clock.
        turned_away: Counts what a store was refused.
    """

    def __init__(
        self,
        config: CollectorConfig,
        monotonic: Callable[[], float],
        turned_away: TurnedAway = lambda store, reason, events: None,
    ) -> None:
        self._monotonic, self._turned_away = monotonic, turned_away
        self._clients = TokenBuckets(config.client_limit)
        self._guesses = TokenBuckets(config.unknown_key_limit)
        self._live, self._history = StoreBudgets(config.store_limit), StoreBudgets(config.import_limit)
        self._seen = SeenByStore()

    def admit_request(self, address: str) -> None:
        """Count a request against its client's rate.

        Raises:
            HttpFault: 429.
        """
        wait_seconds = self._clients.take(bucket_name(address), 1, self._monotonic())
        if wait_seconds:
            raise _limited("rate_limited", "too many requests from this address", wait_seconds)

    @contextmanager
    def guessing(self, address: str) -> Iterator[None]:
        """Around the look-up of a key: count it against its address if no store turns out to have it.

        Args:
            address: The client's.

        Raises:
            HttpFault: 429 so many keys of this address belonged to no store that no more are looked up now.
        """
        name = bucket_name(address)
        wait_seconds = self._guesses.wait(name, 1, self._monotonic())
        if wait_seconds:
            raise _limited("unknown_keys", "too many keys from this address that no store has", wait_seconds)
        try:
            yield
        except HttpFault as fault:
            # Counted when it is known: many clients of one address may bring a store's key before it was looked up.
            if fault.status == 401:
                self._guesses.take(name, 1, self._monotonic())
            raise

    def admit_store(self, store: Store, client: Client, sent: bytes = b"") -> None:
        """Turn a request away while its store owes for earlier ones.

        Args:
            store: Whose.
            client: Who sends; history has a budget of its own: it must not turn visitors away.
            sent: The body as it was sent; nothing is done with it yet.

        Raises:
            HttpFault: 429 with the bound that was met.
        """
        refusal = self._budgets(client).refusal(store.slug, self._monotonic())
        if refusal is not None:
            wait_seconds, reason = refusal
            self._turned_away(store, reason, max(1, sent.count(_EVENT)))
            raise _limited(_CODES[reason], _MESSAGES[reason], wait_seconds)

    def spend(self, store: str, client: Client, valid: Sequence[ValidEvent], events: int, body_bytes: int) -> None:
        """Take what a request costs from its store's budget.

        Args:
            store: The slug.
            client: Who sent it.
            valid: The events that are counted; what is new in them costs more.
            events: All events, refused ones too.
            body_bytes: What was read, decompressed.
        """
        budgets = self._budgets(client)
        if not budgets.bounded:
            return
        # Of a large batch every other event is looked at, and counts double; nobody can know which.
        step = 1 if len(valid) <= _FEW_EVENTS else 2
        found = [one.event for one in valid[random.getrandbits(1) if step == 2 else 0 :: step]]
        agents = {client.user_agent}
        if client.origin == "import":
            agents |= {
                event.user_agent
                for event in found
                if isinstance(event, ImportedEvent) and isinstance(event.user_agent, str)
            }
        new_units = self._seen.add_units(store, found, agents, step) if found else 0
        units = max(events, body_bytes / BYTES_PER_UNIT)
        budgets.spend(store, units, new_units, self._monotonic())

    def _budgets(self, client: Client) -> StoreBudgets:
        return self._history if client.origin == "import" else self._live


def _limited(code: str, message: str, wait_seconds: float) -> HttpFault:
    return HttpFault(429, code, message, retry_after_seconds=wait_seconds)
