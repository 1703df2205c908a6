"""Decisions that depend on few distinct values, each made once: blocked networks, targets, user agents."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Final

import numpy as np

from flows.arrays.growable import GrowableColumn
from flows.arrays.hashing import dense_rank, mix
from flows.arrays.types import I32, U8, U64, Bools
from flows.clicks.encoding.dictionary import Dictionary
from flows.clicks.model.columns import Columns
from flows.clicks.model.encoded_column import ENTRY_BYTES, EncodedColumn, TextCodes
from marketplace.clicks import bots
from marketplace.stores import Store

_NETWORKS_BITS: Final = 31


class MemoizedRules:
    """Remembered decisions.

    Args:
        dictionaries: What the columns' texts are numbered by.
        agents: Recognises automated user agents.
    """

    def __init__(self, dictionaries: Mapping[str, Dictionary], agents: bots.AgentMatcher) -> None:
        self._dictionaries, self._agents = dictionaries, agents
        self._forget()

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        entries = len(self._blocked) + len(self._networks) + len(self._probes)
        return ENTRY_BYTES * entries + self._of_agent.nbytes + self._spamming.nbytes

    def _forget(self) -> None:
        self._ages = self._read_ages()
        self._networks: dict[tuple[str, ...], int] = {}
        self._blocked: dict[int, bool] = {}
        self._probes: dict[str, bool] = {}
        self._verdicts: dict[bots.AgentVerdict, int] = {bots.AgentVerdict((), ""): 0}
        self._of_agent = GrowableColumn(np.int32)
        self._spamming = GrowableColumn(np.uint8)

    def _read_ages(self) -> list[int]:
        return [self._dictionaries[name].age for name in ("ip", "user_agent", "url", "referrer")]

    def catch_up(self) -> None:
        """Start over where the dictionaries have."""
        if self._ages != self._read_ages():
            self._forget()

    def blocked(self, columns: Columns, stores: Mapping[str, Store]) -> Bools:
        """Which events their store does not want counted."""
        self.catch_up()
        slugs, owner = columns.texts["store"].used()
        known = [stores[slug] for slug in slugs]
        honours = np.array([store.honour_opt_out for store in known], dtype=np.bool_)
        blocked: Bools = columns.opted_out & honours[owner]
        choosy = np.array([bool(store.blocked_networks) for store in known], dtype=np.bool_)
        if choosy.any():
            asked = np.flatnonzero(choosy[owner] & ~blocked)
            lists = [self._networks.setdefault(store.blocked_networks, len(self._networks)) for store in known]
            addresses = columns.texts["ip"].codes[asked]
            packed = (np.array(lists, dtype=np.int64)[owner[asked]] << _NETWORKS_BITS) | addresses
            distinct, at, position = np.unique(packed, return_index=True, return_inverse=True)
            networks = [known[store].blocked_networks for store in owner[asked[at]].tolist()]
            answers = map(self._in_networks, distinct.tolist(), columns.texts["ip"].take(asked[at]).tolist(), networks)
            blocked[asked] = np.fromiter(answers, dtype=np.bool_, count=len(distinct))[position]
        return blocked

    def _in_networks(self, packed: int, ip: str, networks: tuple[str, ...]) -> bool:
        answer = self._blocked.get(packed)
        if answer is None:
            answer = self._blocked[packed] = _in_networks(ip, networks)
        return answer

    def targets(self, columns: Columns) -> U64:
        """A hash of each event's target: what was done, to what, of which product, on which page, with what."""
        hashes = {
            name: self._dictionaries[name].hashes(columns.texts[name].codes)
            for name in ("type", "target", "product", "url")
        }
        targets = mix(mix(mix(hashes["url"], hashes["product"]), hashes["target"]), hashes["type"])
        named = np.flatnonzero(_filled(columns.texts["name"]) | _filled(columns.texts["properties"]))
        if len(named):
            for name in ("name", "properties"):
                codes = columns.texts[name].codes[named]
                targets[named] = mix(targets[named], self._dictionaries[name].hashes(codes))
        return targets

    def bots(self, columns: Columns, pages: EncodedColumn, hasty: Bools) -> tuple[EncodedColumn, EncodedColumn, U8]:
        """Of each event: the comma-joined reasons why it is taken for a bot's, and what kind of bot; empty for people.

        Args:
            columns: The events.
            pages: Their paths.
            hasty: Whether the visitor was faster than a person in that minute.

        Returns:
            The reasons, the kinds, and 1 where there are any.
        """
        self.catch_up()
        paths, page = pages.used()
        probing = np.fromiter(map(self._is_probe, paths), dtype=np.bool_, count=len(paths))[page]
        agent = self._agent_verdicts(columns.texts["user_agent"].codes)
        spamming = self._is_spamming(columns.texts["referrer"].codes)
        packed = (agent.astype(np.int64) << 4) | (columns.automated << 3) | (probing << 2) | (spamming << 1) | hasty
        distinct, position = dense_rank(packed, len(self._verdicts) << 4)
        of_agent, of_referrer, of_rate = list(self._verdicts), ((), (bots.REFERRER_SPAM,)), ((), (bots.RATE,))
        example = np.empty(len(distinct), dtype=np.int64)
        example[position] = np.arange(len(position))
        # One text has many codes here, and the reasons of one kind differ: each column has codes of its own.
        texts, kinds = TextCodes(), TextCodes()
        found = np.empty((2, len(distinct)), dtype=np.int32)
        for rank, (code, at) in enumerate(zip(distinct.tolist(), example.tolist(), strict=True)):
            verdict = of_agent[code >> 4]
            of_event = bots.event_reasons(paths[page[at]], bool(columns.automated[at]))
            reasons = (*verdict.reasons, *of_event, *of_referrer[(code >> 1) & 1], *of_rate[code & 1])
            found[:, rank] = texts[",".join(reasons)], kinds[bots.bot_kind(reasons, verdict)]
        reason, kind = found[:, position]
        is_bot = np.array([bool(text) for text in texts.texts], dtype=np.uint8)[reason]
        return EncodedColumn(reason, texts.texts), EncodedColumn(kind, kinds.texts), is_bot

    def _is_probe(self, path: str) -> bool:
        answer = self._probes.get(path)
        if answer is None:
            answer = self._probes[path] = bool(bots.event_reasons(path, False))
        return answer

    def _agent_verdicts(self, agents: I32) -> I32:
        known, texts = len(self._of_agent), self._dictionaries["user_agent"].texts
        if known < len(texts):
            found = [bots.judge_agent(text, self._agents) for text in texts[known:]]
            self._of_agent.extend([self._verdicts.setdefault(verdict, len(self._verdicts)) for verdict in found])
        return self._of_agent.at(agents)

    def _is_spamming(self, referrers: I32) -> U8:
        known, texts = len(self._spamming), self._dictionaries["referrer"].texts
        if known < len(texts):
            self._spamming.extend([bool(bots.referrer_reasons(text)) for text in texts[known:]])
        return self._spamming.at(referrers)


def _filled(column: EncodedColumn) -> Bools:
    """Which elements are not empty."""
    used, position = column.used()
    return np.array([text != "" for text in used], dtype=np.bool_)[position]


def _in_networks(ip: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)
