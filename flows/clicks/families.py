"""Enrichment by distinct value: each distinct address, agent or link is looked up once, and events carry codes.

A *family* is a group of fact columns that are decided together (an enrichment's answer, or the page, or the product).
An event has one small integer per family; strings come back only where rows leave the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import unquote

import numpy as np

from flows.clicks.batch import I32
from flows.clicks.memo import Memo, weight
from marketplace.enrichments import ENRICHMENTS
from marketplace.enrichments.registry import Lookups
from marketplace.events import CollectedClick

MAX_PAGE_CHARS: Final = 512
Values = tuple[str, ...]


def page_of(url: str) -> str:
    """The path of a URL, without query and fragment, percent-decoded; ``/`` where there is none."""
    rest = url.partition("#")[0].partition("?")[0]
    scheme, found, after = rest.partition("://")
    path = "/" + after.partition("/")[2] if found and "/" not in scheme else rest
    decoded = unquote(path, errors="replace") if "%" in path else path
    cleaned = "".join(c if c.isprintable() else "\ufffd" for c in decoded) if not decoded.isprintable() else decoded
    return cleaned[:MAX_PAGE_CHARS] or "/"


@dataclass
class Family:
    """One group of columns and the distinct answers seen so far.

    Attributes:
        name: The enrichment's name, or ``page`` or ``product``.
        columns: Fact columns that it fills.
        reads: Event fields that decide it; ``store_domains`` is the store's own hosts.
        answer: From the values of ``reads`` to the values of ``columns``.
        version: Identity of rules and data; None for families that have none.
        rows: Distinct answers; an event's code is the position of its answer.
        nbytes: Bytes that the answers take.
        memo: Codes of the answers by input.
    """

    name: str
    columns: tuple[str, ...]
    reads: tuple[str, ...]
    answer: Callable[[Values], Values]
    version: str | None
    rows: list[Values] = field(default_factory=list)
    nbytes: int = 0
    memo: Memo[Values, int] = field(default_factory=Memo)
    _codes: dict[Values, int] = field(default_factory=dict)

    def intern(self, row: Values) -> int:
        """The code of an answer."""
        code = self._codes.get(row)
        if code is None:
            code = self._codes[row] = len(self.rows)
            self.rows.append(row)
            self.nbytes += weight(row)
        return code

    def encode(self, inputs: Iterable[Values]) -> I32:
        """Codes of the answers to inputs, each distinct input answered once."""
        known = self.memo.answers
        codes = []
        for values in inputs:
            code = known.get(values)
            if code is None:
                code = self.intern(self.answer(values))
                self.memo.keep(values, code, weight(values))
            codes.append(code)
        return np.array(codes, dtype=np.int32)

    def renew(self, answer: Callable[[Values], Values], version: str | None) -> None:
        """Take new rules or data: what was memorised under the old is forgotten, answers given stay."""
        if version != self.version:
            self.memo.clear()
        self.answer, self.version = answer, version

    def compact(self, used: I32) -> I32:
        """Forget answers that no code in ``used`` needs; the new codes of ``used``."""
        distinct, inverse = np.unique(used, return_inverse=True)
        kept = [self.rows[code] for code in distinct.tolist()]
        self.rows, self.nbytes = [], 0
        self._codes.clear()
        self.memo.clear()
        for row in kept:
            self.intern(row)
        return inverse.astype(np.int32).reshape(used.shape)


def make_families(lookups: Lookups) -> tuple[Family, ...]:
    """Families of all registered enrichments, and of page and product."""
    families = [Family(e.name, e.columns, e.reads, partial(e.enrich, lookups), e.version(lookups)) for e in ENRICHMENTS]
    families.append(Family("page", ("page",), ("url",), lambda v: (page_of(v[0]),), None))
    families.append(Family("product", ("product",), ("product",), lambda v: v, None))
    return tuple(families)


def renew_families(families: tuple[Family, ...], lookups: Lookups) -> None:
    """Give the families this batch's view of the lookups."""
    for family, enrichment in zip(families, ENRICHMENTS, strict=False):
        family.renew(partial(enrichment.enrich, lookups), enrichment.version(lookups))


def inputs_of(family: Family, events: list[CollectedClick], domains: dict[str, str]) -> Iterable[Values]:
    """What decides the family, for each event."""
    columns = [
        [domains[e.store] for e in events] if name == "store_domains" else [getattr(e, name) for e in events]
        for name in family.reads
    ]
    return zip(*columns, strict=True)
