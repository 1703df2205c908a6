"""Rate limits: what one address and one store may send to the collector."""

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
"""Counts a request that was refused: its store, the reason, and the least number of events in it."""

_FEW_EVENTS: Final = 32
_EVENT: Final = b'"event_id"'
_MESSAGES: Final[dict[Reason, str]] = {
    "rate": "too many events of this store",
    "new_values": "this store owes for too many new pages, products, campaigns, referrers or user agents",
}
_CODES: Final[dict[Reason, str]] = {"rate": "rate_limited", "new_values": "too_many_new_values"}


class Limits:
    """The limits of one collector process; they are not shared between processes and start full after a restart.

    Args:
        config: The rates and bursts.
        monotonic: Seconds of a monotonic clock.
        turned_away: Called for each request that a store's budget refuses.
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
        """A context for looking up a key: counts it against the address if no store has it.

        Args:
            address: The client's.

        Raises:
            HttpFault: 429, too many keys of this address belonged to no store.
        """
        name = bucket_name(address)
        wait_seconds = self._guesses.wait(name, 1, self._monotonic())
        if wait_seconds:
            raise _limited("unknown_keys", "too many keys from this address that no store has", wait_seconds)
        try:
            yield
        except HttpFault as fault:
            # Counted afterwards: many clients of one address may send a valid key before its store is known.
            if fault.status == 401:
                self._guesses.take(name, 1, self._monotonic())
            raise

    def admit_store(self, store: Store, client: Client, sent: bytes = b"") -> None:
        """Refuse a request while its store's budget is overdrawn by earlier ones.

        Args:
            store: Whose.
            client: Who sends; history has a separate budget, so that an import never blocks visitors.
            sent: The body as it was sent, before decompression.

        Raises:
            HttpFault: 429 with the limit that was reached.
        """
        refusal = self._budgets(client).refusal(store.slug, self._monotonic())
        if refusal is not None:
            wait_seconds, reason = refusal
            self._turned_away(store, reason, max(1, sent.count(_EVENT)))
            raise _limited(_CODES[reason], _MESSAGES[reason], wait_seconds)

    def spend(self, store: str, client: Client, valid: Sequence[ValidEvent], events: int, body_bytes: int) -> None:
        """Charge a request to its store's budget.

        Args:
            store: The slug.
            client: Who sent it.
            valid: The valid events; new values in them cost more.
            events: The number of all events, refused ones too.
            body_bytes: The size of the decompressed body.
        """
        budgets = self._budgets(client)
        if not budgets.bounded:
            return
        # Of a large batch every other event is examined and counts double; clients cannot predict which.
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
