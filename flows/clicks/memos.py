"""Decisions that depend on few distinct values, each made once: blocked networks, targets, user agents."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import numpy as np

from flows.clicks.batch import U64, Bools
from flows.clicks.hashing import hash_text
from flows.clicks.memo import Memo, weight
from marketplace import bots
from marketplace.events import CollectedClick
from marketplace.stores import Store


def target_text(event: CollectedClick) -> str:
    """What makes two events of a visitor hits on the same target."""
    # Lengths keep two events apart whose parts only join to the same text.
    return f"{event.type} {len(event.target)} {len(event.product)} {event.target}{event.product}{event.url}"


class Memos:
    """Remembered decisions."""

    def __init__(self, agents: bots.AgentMatcher) -> None:
        self._agents = agents
        self._blocked: Memo[tuple[tuple[str, ...], str], bool] = Memo()
        self._targets: Memo[str, int] = Memo()
        self._reasons: Memo[str, tuple[str, ...]] = Memo()

    def all(self) -> list[Memo[Any, Any]]:
        """The memos, for a common bound."""
        return [self._blocked, self._targets, self._reasons]

    def blocked(self, events: list[CollectedClick], stores: Mapping[str, Store]) -> Bools:
        """Which events their store does not want counted."""
        known = self._blocked.answers
        verdicts = []
        for event in events:
            store = stores[event.store]
            if event.opted_out and store.honour_opt_out:
                verdicts.append(True)
            elif not store.blocked_networks:
                verdicts.append(False)
            else:
                key = (store.blocked_networks, event.ip)
                verdict = known.get(key)
                if verdict is None:
                    verdict = _in_networks(event.ip, store.blocked_networks)
                    self._blocked.keep(key, verdict, weight([event.ip]))
                verdicts.append(verdict)
        return np.array(verdicts, dtype=np.bool_)

    def targets(self, events: list[CollectedClick]) -> U64:
        """A hash of each event's target."""
        known = self._targets.answers
        hashes = []
        for event in events:
            text = target_text(event)
            found = known.get(text)
            if found is None:
                found = hash_text(text)
                self._targets.keep(text, found, weight([text]))
            hashes.append(found)
        return np.array(hashes, dtype=np.uint64)

    def bot_reasons(self, events: list[CollectedClick], pages: list[str], hasty: list[bool]) -> list[str]:
        """Comma-joined reasons why each event is taken for a bot's; empty for a person's.

        Args:
            events: The events.
            pages: Their paths.
            hasty: Whether the visitor was faster than a person in that minute.
        """
        known = self._reasons.answers
        reasons = []
        for event, page, fast in zip(events, pages, hasty, strict=True):
            found = known.get(event.user_agent)
            if found is None:
                found = bots.user_agent_reasons(event.user_agent, self._agents)
                self._reasons.keep(event.user_agent, found, weight([event.user_agent]))
            found += bots.event_reasons(page, event.automated)
            reasons.append(",".join((*found, bots.RATE) if fast else found))
        return reasons


def _in_networks(ip: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)
