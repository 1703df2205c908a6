"""What a worker knows of distinct values, for all its partitions together: a link that is new to one is new to none.

It holds no past: forgetting any of it changes no answer, only what has to be asked again. Numbers of stores stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, Protocol

import numpy as np

from flows.arrays.types import I32, I64
from flows.clicks.encoding.codebook import Codebook
from flows.clicks.encoding.dictionary import Dictionary, make_dictionaries
from flows.clicks.encoding.enrichment_encoder import EnrichmentEncoder, make_encoders, renew_encoders
from flows.clicks.encoding.memoized_rules import MemoizedRules
from flows.clicks.encoding.store_days import Calendar
from flows.clicks.model.columns import Columns
from flows.clicks.model.encoded_column import EncodedColumn
from marketplace.clicks import bots
from marketplace.enrichments.registry import Lookups
from marketplace.rollups import OF_VISITS
from marketplace.stores import Store

DEFAULT_BYTES: Final = 256 << 20
"""Half of it for distinct texts and half for the answers that sessions hold: some 200,000 links with all that is known
of each."""
_WORTH_BYTES: Final = 4 << 20
"""Fewer bytes of answers are not looked through out of turn."""
_MOST_TEXTS: Final = 1 << 20
"""Codes of three fields share an integer; a batch adds no more than its records."""


class KeptCodes(Protocol):
    """Something that keeps encoder codes from one batch to another."""

    def __len__(self) -> int:
        """How many rows of codes it keeps."""

    def codes(self, encoder: int) -> I32:
        """All of one encoder's codes that it keeps."""

    def recode(self, encoder: int, codes: I32) -> None:
        """Take new ones for them."""


class EncodingContext:
    """Dictionaries, encoders and memoized rules. Not safe to share between threads.

    Args:
        lookups: Gives this moment's lookups.
        agents: Recognises automated user agents.
        max_bytes: Memory for all of it; a single batch may go beyond by what it carries.
    """

    def __init__(
        self, lookups: Callable[[], Lookups], agents: bots.AgentMatcher, max_bytes: int = DEFAULT_BYTES
    ) -> None:
        self._lookups, self._max_bytes = lookups, max_bytes
        self.dictionaries = make_dictionaries()
        self._store_rules = Dictionary()
        self.encoders = make_encoders({**self.dictionaries, "store_rules": self._store_rules}, lookups())
        self.page = next(at for at, encoder in enumerate(self.encoders) if encoder.name == "page")
        named = {dimension.column for dimension in OF_VISITS}
        self.of_visits = [at for at, encoder in enumerate(self.encoders) if not named.isdisjoint(encoder.columns)]
        self.rules = MemoizedRules(self.dictionaries, agents)
        self.store_days = Calendar()
        self._bot_version = bots.version(agents)
        self._book: Codebook | None = None
        self._holders: list[KeptCodes] = []
        self._compacted = [0] * len(self.encoders)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        return self._asking_nbytes() + sum(encoder.nbytes for encoder in self.encoders)

    def hold(self, holder: KeptCodes) -> None:
        """From now on, answers whose codes something keeps stay."""
        self._holders.append(holder)

    def held_for(self, holder: KeptCodes) -> int:
        """Bytes of the answers that stay for a holder, by its share of all rows that are kept."""
        answers = sum(encoder.nbytes for encoder in self.encoders)
        return answers * len(holder) // max(1, sum(map(len, self._holders)))

    def let_go(self) -> None:
        """Forget answers that nothing holds any more; called when a holder has dropped many."""
        for at, encoder in enumerate(self.encoders):
            if encoder.nbytes > _WORTH_BYTES:
                self._compact(at, encoder)

    def renew(self) -> None:
        """Take this moment's lookups; called once for a batch."""
        if renew_encoders(self.encoders, self._lookups()):
            self._book = None

    def book(self) -> Codebook:
        """What codes stand for by now; the same object until that changes."""
        if self._book is None:
            answers = tuple(encoder.answers for encoder in self.encoders)
            self._book = Codebook(answers, self._bot_version, self.store_days, self.store_days.zones)
        return self._book

    def learn(self, stores: Mapping[str, Store]) -> None:
        """Take the stores as they are now."""
        if self.store_days.learn(stores):
            self._book = None

    def enrich(self, columns: Columns, stores: Mapping[str, Store]) -> I32:
        """Codes of each event's answers, one column per enrichment."""
        slugs, position = columns.texts["store"].used()
        own = self._store_rules.encode([stores[slug].rules_text for slug in slugs])
        texts = {**columns.texts, "store_rules": EncodedColumn(own.codes[position], own.texts)}
        codes = np.stack([encoder.encode(texts) for encoder in self.encoders], axis=1)
        ruled = [at for at, slug in enumerate(slugs) if stores[slug].has_page_rules]
        for at in ruled:
            self._apply_page_rules(codes, np.flatnonzero(position == at), stores[slugs[at]])
        return codes

    def _apply_page_rules(self, codes: I32, events: I64, store: Store) -> None:
        """Give events of a store the codes of the paths under which its pages count."""
        encoder = self.encoders[self.page]
        used, position = np.unique(codes[events, self.page], return_inverse=True)
        counted = [encoder.intern((store.page(encoder.rows[code][0]),)) for code in used.tolist()]
        codes[events, self.page] = np.array(counted, dtype=np.int32)[position]

    def pages(self, codes: I32) -> EncodedColumn:
        """The paths that are among the answers."""
        rows = self.encoders[self.page].rows
        used, position = np.unique(codes[:, self.page], return_inverse=True)
        return EncodedColumn(position.astype(np.int32), [rows[code][0] for code in used.tolist()])

    def trim(self) -> None:
        """Make room; called between batches. Who holds codes of texts then has the texts too (``EncodedColumn``)."""
        half = self._max_bytes // 2
        while self._asking_nbytes() > half or any(len(d.texts) > _MOST_TEXTS for d in self._all_dictionaries()):
            max(self._all_dictionaries(), key=lambda dictionary: dictionary.nbytes).forget()
            for encoder in self.encoders:
                encoder.catch_up()
            self.rules.catch_up()
        for at, encoder in enumerate(self.encoders):
            if encoder.nbytes > max(half // len(self.encoders), 2 * self._compacted[at]):
                self._compact(at, encoder)

    def _compact(self, at: int, encoder: EnrichmentEncoder) -> None:
        codes_of = [holder.codes(at) for holder in self._holders]
        codes = encoder.compact(np.concatenate([*codes_of, np.empty(0, dtype=np.int32)]))
        start = 0
        for holder, before in zip(self._holders, codes_of, strict=True):
            holder.recode(at, codes[start : start + len(before)])
            start += len(before)
        self._compacted[at] = encoder.nbytes
        self._book = None

    def _all_dictionaries(self) -> Collection[Dictionary]:
        return [*self.dictionaries.values(), self._store_rules]

    def _asking_nbytes(self) -> int:
        return sum(self._weights())

    def _weights(self) -> Iterator[int]:
        yield from (dictionary.nbytes for dictionary in self._all_dictionaries())
        yield from (encoder.beside_nbytes for encoder in self.encoders)
        yield self.rules.nbytes
