"""Enrichment by distinct value: each distinct address, agent or link is looked at once, and events carry codes.

A *encoder* is a group of fact columns that are decided together (an enrichment's answer, or the page, or the product).
An event has one small integer per encoder; strings come back only where rows leave the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import numpy as np

from flows.arrays.growable import GrowableColumn
from flows.arrays.hashing import dense_rank
from flows.arrays.types import I32, I64
from flows.clicks.encoding.dictionary import Dictionary
from flows.clicks.model.encoded_column import ENTRY_BYTES, EncodedColumn, weight
from marketplace.enrichments import ENRICHMENTS
from marketplace.enrichments.registry import Lookups

MAX_PAGE_CHARS: Final = 512
Values = tuple[str, ...]
MAX_READS: Final = 3
_PART_BITS: Final = 63 // MAX_READS
"""Codes of parts make one integer. Dictionaries are forgotten long before there are two million of them."""


def page_of(url: str) -> str:
    """The path of a URL, without query and fragment, percent-decoded; ``/`` where there is none."""
    rest = url.partition("#")[0].partition("?")[0]
    scheme, found, after = rest.partition("://")
    path = "/" + after.partition("/")[2] if found and "/" not in scheme else rest
    decoded = unquote(path, errors="replace") if "%" in path else path
    cleaned = "".join(c if c.isprintable() else "\ufffd" for c in decoded) if not decoded.isprintable() else decoded
    return cleaned[:MAX_PAGE_CHARS] or "/"


@dataclass(frozen=True)
class EncodedAnswers:
    """An encoder's answers, as codes stand for them until they are compacted.

    Attributes:
        name, columns, version: As of the encoder.
        rows: The answer of each code; more may come.
    """

    name: str
    columns: tuple[str, ...]
    version: str | None
    rows: Sequence[Values]


class Parts:
    """What counts of each of a field's texts, numbered as the texts are; by default the text itself."""

    def __init__(self, dictionary: Dictionary, part: Callable[[str], Hashable] | None) -> None:
        self._dictionary, self._part = dictionary, part
        self.forget()

    def forget(self) -> None:
        """Start over, as the dictionary has."""
        self._age = self._dictionary.age
        self._codes: dict[Hashable, int] = {}
        self._parts: list[Any] = []
        self._of_texts = GrowableColumn(np.int32)
        self._parts_nbytes = 0

    @property
    def stale(self) -> bool:
        """Whether the dictionary has started over."""
        return self._age != self._dictionary.age

    @property
    def known(self) -> Sequence[Any]:
        """The part of each code."""
        return self._parts if self._part else self._dictionary.texts

    @property
    def nbytes(self) -> int:
        """Bytes of memory beside the texts, about."""
        return self._of_texts.nbytes + self._parts_nbytes

    def encode(self, texts: I32) -> I32:
        """From codes of texts to codes of their parts."""
        if self._part is None:
            return texts
        known = len(self._of_texts)
        if known < len(self._dictionary.texts):
            self._of_texts.extend([self._code(self._part(text)) for text in self._dictionary.texts[known:]])
        return self._of_texts.at(texts)

    def _code(self, part: Hashable) -> int:
        code = self._codes.setdefault(part, len(self._parts))
        if code == len(self._parts):
            self._parts.append(part)
            self._parts_nbytes += weight(part)
        return code


class EnrichmentEncoder:
    """One group of columns and the distinct answers seen so far.

    Args:
        name: The enrichment's name, or ``page`` or ``product``.
        columns: Fact columns that it fills.
        reads: Event fields that decide it, ``MAX_READS`` at most; ``store_rules`` is what the store says.
        dictionaries: What the fields' texts are numbered by.
        answer: From what counts of ``reads`` to the values of ``columns``.
        version: Identity of rules and data; None for encoders that have none.
        parts: What counts of each field of ``reads``; empty for their texts.

    Raises:
        ValueError: It reads too many fields.

    Attributes:
        rows: Distinct answers; an event's code is the position of its answer.
        nbytes: Bytes that the answers take.
    """

    def __init__(
        self,
        name: str,
        columns: tuple[str, ...],
        reads: tuple[str, ...],
        dictionaries: Mapping[str, Dictionary],
        answer: Callable[[tuple[Any, ...]], Values],
        version: str | None,
        parts: tuple[Callable[[str], Hashable], ...] = (),
    ) -> None:
        if len(reads) > MAX_READS:
            raise ValueError(f"{name} reads {len(reads)} fields; {MAX_READS} fit into one integer")
        self.name, self.columns, self.version = name, columns, version
        self._answer = answer
        given = parts or (None,) * len(reads)
        self._parts = {field: Parts(dictionaries[field], part) for field, part in zip(reads, given, strict=True)}
        self._known: dict[int, int] = {}
        self.rows: list[Values] = []
        self.nbytes = 0
        self._codes: dict[Values, int] = {}

    @property
    def answers(self) -> EncodedAnswers:
        """What codes stand for by now."""
        return EncodedAnswers(self.name, self.columns, self.version, self.rows)

    @property
    def beside_nbytes(self) -> int:
        """Bytes of what leads to the answers, about."""
        return ENTRY_BYTES * len(self._known) + sum(parts.nbytes for parts in self._parts.values())

    def intern(self, row: Values) -> int:
        """The code of an answer."""
        code = self._codes.get(row)
        if code is None:
            code = self._codes[row] = len(self.rows)
            self.rows.append(row)
            self.nbytes += weight(row)
        return code

    def encode(self, texts: Mapping[str, EncodedColumn]) -> I32:
        """Codes of the answers for events, each distinct combination of parts answered once."""
        self.catch_up()
        packed, size = self._pack(texts)
        distinct, position = dense_rank(packed, size)
        codes = list(map(self._known.get, distinct.tolist()))
        for at, code in enumerate(codes):
            if code is None:
                asked = int(distinct[at])
                codes[at] = self._known[asked] = self.intern(self._answer(self._unpack(asked)))
        return np.array(codes, dtype=np.int32)[position]

    def catch_up(self) -> None:
        """Start over where the dictionaries have."""
        if any(parts.stale for parts in self._parts.values()):
            self._known.clear()
            for parts in self._parts.values():
                parts.forget()

    def _pack(self, texts: Mapping[str, EncodedColumn]) -> tuple[I64, int]:
        """One integer for each event's combination of parts, and how many of them there can be."""
        # The first field's codes are packed without a gap, so numbering by a table (``dense_rank``) is cheap for
        # encoders that read one field. Those that read more are sorted, whatever their size.
        packed, size = np.zeros(1, dtype=np.int64), 1
        for field, parts in self._parts.items():
            packed = (packed << _PART_BITS) | parts.encode(texts[field].codes)
            size = len(parts.known) if size == 1 else size << _PART_BITS
        return packed, size

    def _unpack(self, packed: int) -> tuple[Any, ...]:
        values = []
        for parts in reversed(self._parts.values()):
            values.append(parts.known[packed & ((1 << _PART_BITS) - 1)])
            packed >>= _PART_BITS
        return tuple(reversed(values))

    def renew(self, answer: Callable[[tuple[Any, ...]], Values], version: str | None) -> bool:
        """Take new rules or data: what was known under the old is asked again, answers given stay.

        Returns:
            Whether they are others than before.
        """
        changed = version != self.version
        if changed:
            self._known.clear()
        self._answer, self.version = answer, version
        return changed

    def compact(self, used: I32) -> I32:
        """Forget answers that no code in ``used`` needs; the new codes of ``used``. ``answers`` given before stay."""
        distinct, position = np.unique(used, return_inverse=True)
        kept = [self.rows[code] for code in distinct.tolist()]
        self.rows, self.nbytes = [], 0
        self._codes.clear()
        self._known.clear()
        for row in kept:
            self.intern(row)
        return position.astype(np.int32).reshape(used.shape)


def make_encoders(dictionaries: Mapping[str, Dictionary], lookups: Lookups) -> tuple[EnrichmentEncoder, ...]:
    """Families of all registered enrichments, and of page and product."""
    encoders = [
        EnrichmentEncoder(
            e.name, e.columns, e.reads, dictionaries, partial(e.answer, lookups), e.version(lookups), e.parts
        )
        for e in ENRICHMENTS
    ]
    encoders.append(
        EnrichmentEncoder("page", ("page",), ("url",), dictionaries, lambda parts: (page_of(parts[0]),), None)
    )
    encoders.append(EnrichmentEncoder("product", ("product",), ("product",), dictionaries, lambda parts: parts, None))
    return tuple(encoders)


def renew_encoders(encoders: tuple[EnrichmentEncoder, ...], lookups: Lookups) -> bool:
    """Give the encoders this batch's view of the lookups; returns whether it is another than before."""
    changed = [
        encoder.renew(partial(enrichment.answer, lookups), enrichment.version(lookups))
        for encoder, enrichment in zip(encoders, ENRICHMENTS, strict=False)
    ]
    return any(changed)
