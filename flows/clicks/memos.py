"""Decisions that depend on few distinct values, each made once: blocked networks, targets, user agents."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from ipaddress import ip_address, ip_network
from operator import attrgetter
from typing import Any, Final

import numpy as np

from flows.clicks.batch import I64, U8, U64, Bools
from flows.clicks.hashing import hash_text
from flows.clicks.memo import Memo, weight
from marketplace import bots
from marketplace.events import CollectedClick
from marketplace.stores import Store

_TARGET: Final = attrgetter("type", "target", "product", "url")


def target_text(event: CollectedClick) -> str:
    """What makes two events of a visitor hits on the same target."""
    # Lengths keep two events apart whose parts only join to the same text.
    return f"{event.type} {len(event.target)} {len(event.product)} {event.target}{event.product}{event.url}"


class Memos:
    """Remembered decisions."""

    def __init__(self, agents: bots.AgentMatcher) -> None:
        self._agents = agents
        self._blocked: Memo[tuple[tuple[str, ...], str], bool] = Memo()
        self._targets: Memo[Hashable, int] = Memo()
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
        keys = list(map(_TARGET, events))
        hashes = list(map(known.get, keys))
        for at in [at for at, found in enumerate(hashes) if found is None]:
            found = known.get(keys[at])
            if found is None:
                text = target_text(events[at])
                found = hash_text(text)
                self._targets.keep(keys[at], found, weight(keys[at]))
            hashes[at] = found
        return np.array(hashes, dtype=np.uint64)

    def bot_reasons(
        self, events: list[CollectedClick], pages: list[str], page: I64, hasty: Bools
    ) -> tuple[list[str], U8]:
        """Comma-joined reasons why each event is taken for a bot's, empty for a person's; and 1 where there are any.

        Args:
            events: The events.
            pages: Distinct paths.
            page: The position of each event's path among them.
            hasty: Whether the visitor was faster than a person in that minute.
        """
        of_agent = self._agent_reasons(events)
        automated = np.array(list(map(attrgetter("automated"), events)), dtype=np.bool_)
        probing = np.array([bool(bots.event_reasons(path, False)) for path in pages], dtype=np.bool_)
        is_bot = np.array(list(map(bool, of_agent)), dtype=np.bool_) | automated | hasty | probing[page]
        reasons = [""] * len(events)
        for at in np.flatnonzero(is_bot).tolist():
            found = of_agent[at] + bots.event_reasons(pages[page[at]], events[at].automated)
            reasons[at] = ",".join((*found, bots.RATE) if hasty[at] else found)
        return reasons, is_bot.astype(np.uint8)

    def _agent_reasons(self, events: list[CollectedClick]) -> list[tuple[str, ...]]:
        known = self._reasons.answers
        agents = list(map(attrgetter("user_agent"), events))
        for agent in set(agents) - known.keys():
            self._reasons.keep(agent, bots.user_agent_reasons(agent, self._agents), weight([agent]))
        return list(map(known.__getitem__, agents))


def _in_networks(ip: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)
