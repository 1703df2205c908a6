"""What a worker knows of distinct values, for all its partitions together: a link that is new to one is new to none.

It holds no past: forgetting any of it changes no answer, only what has to be asked again. Numbers of stores stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, Protocol

import numpy as np

from flows.arrays.types import I32
from flows.clicks.encoding.codebook import Codebook
from flows.clicks.encoding.dictionary import Dictionary, make_dictionaries
from flows.clicks.encoding.enrichment_encoder import EnrichmentEncoder, make_encoders, renew_encoders
from flows.clicks.encoding.memoized_rules import MemoizedRules
from flows.clicks.encoding.store_days import Calendar
from flows.clicks.model.columns import Columns
from flows.clicks.model.encoded_column import EncodedColumn
from marketplace import bots
from marketplace.enrichments.registry import Lookups
from marketplace.stores import Store

DEFAULT_BYTES: Final = 256 << 20
"""Half of it for distinct texts and half for the answers that sessions hold: some 200,000 links with all that is known
of each."""
_WORTH_BYTES: Final = 4 << 20
"""Fewer bytes of answers are not looked through out of turn."""
_MOST_WORDS: Final = 1 << 20
"""Codes of three fields share an integer; a batch adds no more than its records."""


class EntryCodes(Protocol):
    """Something that keeps family codes from one batch to another."""

    def __len__(self) -> int:
        """How many rows of codes it keeps."""

    @property
    def entry_codes(self) -> I32:
        """Codes, one column per family."""

    def recode(self, family: int, codes: I32) -> None:
        """Take one family's new codes."""


class EncodingContext:
    """Dictionaries, encoders and memoized rules. Not safe to share between threads.

    Args:
        lookups: Gives this moment's lookups.
        agents: Recognises automated user agents.
        max_bytes: MemoryLimits for all of it; a single batch may go beyond by what it carries.
    """

    def __init__(
        self, lookups: Callable[[], Lookups], agents: bots.AgentMatcher, max_bytes: int = DEFAULT_BYTES
    ) -> None:
        self._lookups, self._max_bytes = lookups, max_bytes
        self.words = make_dictionaries()
        self._domains = Dictionary()
        self.families = make_encoders({**self.words, "store_domains": self._domains}, lookups())
        self.page = next(at for at, family in enumerate(self.families) if family.name == "page")
        self.memos = MemoizedRules(self.words, agents)
        self.calendar = Calendar()
        self._bot_version = bots.version(agents)
        self._book: Codebook | None = None
        self._holders: list[EntryCodes] = []
        self._compacted = [0] * len(self.families)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        return self._asking_nbytes() + sum(family.nbytes for family in self.families)

    def hold(self, holder: EntryCodes) -> None:
        """From now on, answers whose codes something keeps stay."""
        self._holders.append(holder)

    def held_for(self, holder: EntryCodes) -> int:
        """Bytes of the answers that stay for a holder, by its share of all rows that are kept."""
        answers = sum(family.nbytes for family in self.families)
        return answers * len(holder) // max(1, sum(map(len, self._holders)))

    def let_go(self) -> None:
        """Forget answers that nothing holds any more; called when a holder has dropped many."""
        for at, family in enumerate(self.families):
            if family.nbytes > _WORTH_BYTES:
                self._compact(at, family)

    def renew(self) -> None:
        """Take this moment's lookups; called once for a batch."""
        if renew_encoders(self.families, self._lookups()):
            self._book = None

    def book(self) -> Codebook:
        """What codes stand for by now; the same object until that changes."""
        if self._book is None:
            answers = tuple(family.answers for family in self.families)
            self._book = Codebook(answers, self._bot_version, self.calendar, self.calendar.zones)
        return self._book

    def learn(self, stores: Mapping[str, Store]) -> None:
        """Take the stores as they are now."""
        if self.calendar.learn(stores):
            self._book = None

    def enrich(self, columns: Columns, stores: Mapping[str, Store]) -> I32:
        """Codes of each event's answers, one column per family."""
        slugs, position = columns.texts["store"].used()
        own = self._domains.encode([",".join(stores[slug].domains) for slug in slugs])
        texts = {**columns.texts, "store_domains": EncodedColumn(own.codes[position], own.texts)}
        return np.stack([family.encode(texts) for family in self.families], axis=1)

    def pages(self, codes: I32) -> EncodedColumn:
        """The paths that are among the answers."""
        rows = self.families[self.page].rows
        used, position = np.unique(codes[:, self.page], return_inverse=True)
        return EncodedColumn(position.astype(np.int32).reshape(-1), [rows[code][0] for code in used.tolist()])

    def trim(self) -> None:
        """Make room; called between batches. Who holds codes of texts then has the texts too (``EncodedColumn``)."""
        half = self._max_bytes // 2
        while self._asking_nbytes() > half or any(len(words.texts) > _MOST_WORDS for words in self._all_words()):
            max(self._all_words(), key=lambda words: words.nbytes).forget()
            for family in self.families:
                family.catch_up()
            self.memos.catch_up()
        for at, family in enumerate(self.families):
            if family.nbytes > max(half // len(self.families), 2 * self._compacted[at]):
                self._compact(at, family)

    def _compact(self, at: int, family: EnrichmentEncoder) -> None:
        codes_of = [holder.entry_codes[:, at] for holder in self._holders]
        codes = family.compact(np.concatenate([*codes_of, np.empty(0, dtype=np.int32)]))
        start = 0
        for holder, before in zip(self._holders, codes_of, strict=True):
            holder.recode(at, codes[start : start + len(before)])
            start += len(before)
        self._compacted[at] = family.nbytes
        self._book = None

    def _all_words(self) -> Collection[Dictionary]:
        return [*self.words.values(), self._domains]

    def _asking_nbytes(self) -> int:
        return sum(self._weights())

    def _weights(self) -> Iterator[int]:
        yield from (words.nbytes for words in self._all_words())
        yield from (family.beside_nbytes for family in self.families)
        yield self.memos.nbytes
