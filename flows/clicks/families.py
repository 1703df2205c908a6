"""Enrichment by distinct value: each distinct address, agent or link is looked up once, and events carry codes.

A *family* is a group of fact columns that are decided together (an enrichment's answer, or the page, or the product).
An event has one small integer per family; strings come back only where rows leave the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
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
        memo: Codes of the answers by what decides them: one field, or a tuple of them.
    """

    name: str
    columns: tuple[str, ...]
    reads: tuple[str, ...]
    answer: Callable[[Values], Values]
    version: str | None
    rows: list[Values] = field(default_factory=list)
    nbytes: int = 0
    memo: Memo[Hashable, int] = field(default_factory=Memo)
    _codes: dict[Values, int] = field(default_factory=dict)
    _domains: dict[str, str] = field(default_factory=dict)
    _key: Callable[[CollectedClick], Hashable] = field(init=False)

    def __post_init__(self) -> None:
        self._key = attrgetter(*("store" if name == "store_domains" else name for name in self.reads))

    def intern(self, row: Values) -> int:
        """The code of an answer."""
        code = self._codes.get(row)
        if code is None:
            code = self._codes[row] = len(self.rows)
            self.rows.append(row)
            self.nbytes += weight(row)
        return code

    def encode(self, events: Sequence[CollectedClick], domains: Mapping[str, str]) -> I32:
        """Codes of the answers for events, each distinct input answered once.

        Args:
            events: The events.
            domains: The own hosts of each of their stores, comma-joined.
        """
        if "store_domains" in self.reads and any(self._domains.get(slug) != own for slug, own in domains.items()):
            # Answers are remembered by the store's name, which is shorter than its hosts.
            self._domains = {**self._domains, **domains}
            self.memo.clear()
        known = self.memo.answers
        # By maps and not in a loop: nearly all inputs are known, and this is asked of each event for each family.
        keys = list(map(self._key, events))
        codes = list(map(known.get, keys))
        for at in [at for at, code in enumerate(codes) if code is None]:
            code = known.get(keys[at])
            if code is None:
                values = self._values(events[at], domains)
                code = self.intern(self.answer(values))
                self.memo.keep(keys[at], code, weight(values))
            codes[at] = code
        return np.array(codes, dtype=np.int32)

    def _values(self, event: CollectedClick, domains: Mapping[str, str]) -> Values:
        return tuple(domains[event.store] if name == "store_domains" else getattr(event, name) for name in self.reads)

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
