"""Who is in a store right now: what the live tile shows of a batch."""

from __future__ import annotations

from typing import Final

import numpy as np

from flows.arrays.types import I32
from flows.clicks.model.facts import Facts

_RECENT_MS: Final = 3_600_000


def newest_by_visitor(facts: Facts, store: I32, names: list[str]) -> dict[str, dict[int, int]]:
    """People's newest moment (epoch ms) by store and visitor, of the hour before receipt.

    Args:
        facts: The events.
        store: Their store codes.
        names: Slugs by store code.
    """
    recent = (facts.is_bot == 0) & ~facts.imported & (facts.occurred_ms >= facts.received_ms - _RECENT_MS)
    code, visitor, when = store[recent], facts.visitor[recent], facts.occurred_ms[recent]
    order = np.lexsort((when, visitor, code))
    code, visitor, when = code[order], visitor[order], when[order]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (code[1:] != code[:-1]) | (visitor[1:] != visitor[:-1])
    live: dict[str, dict[int, int]] = {}
    for at, who, moment in zip(code[last].tolist(), visitor[last].tolist(), when[last].tolist(), strict=True):
        live.setdefault(names[at], {})[who] = moment
    return live
