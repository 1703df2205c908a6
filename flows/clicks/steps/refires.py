"""Double clicks: which events repeat a counted one of the same visitor and target within two seconds."""

from __future__ import annotations

import numpy as np

from flows.arrays.types import I64, U64, Bools
from marketplace.clicks.outcomes import REFIRE_WINDOW_MS


def find_refires(pair: U64, when: I64, near_earlier: Bools) -> Bools:
    """Decide a batch's re-fires.

    An event is a re-fire if a *counted* event of the same pair that arrived before it lies less than two seconds from
    it, on either side. Re-fires themselves are ignored here, so a button that is held down is one click every two
    seconds.

    Args:
        pair: Hash of visitor and target.
        when: Epoch milliseconds.
        near_earlier: Where an event of an earlier batch already decides.
    """
    refire = near_earlier.copy()
    order = np.lexsort((when, pair))
    sorted_pair, sorted_when = pair[order], when[order]
    close = (sorted_pair[1:] == sorted_pair[:-1]) & (sorted_when[1:] - sorted_when[:-1] < REFIRE_WINDOW_MS)
    crowded = np.zeros(len(pair), dtype=np.bool_)
    crowded[1:] = close
    crowded[:-1] |= close
    counted: dict[int, dict[int, int]] = {}
    # Few events have a close neighbour; they depend on each other in order of arrival.
    for at in np.sort(order[crowded]).tolist():
        if refire[at]:
            continue
        moment = int(when[at])
        times = counted.setdefault(int(pair[at]), {})
        # Counted times of a pair are two seconds apart or more, so each two-second bucket holds one at most.
        bucket = moment // REFIRE_WINDOW_MS
        neighbours = (times.get(bucket + step) for step in (-1, 0, 1))
        if any(t is not None and abs(moment - t) < REFIRE_WINDOW_MS for t in neighbours):
            refire[at] = True
        else:
            times[bucket] = moment
    return refire


def rank_within(keys: U64) -> I64:
    """For each element, how many equal ones came before it."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.ones(len(keys), dtype=np.bool_)
    starts[1:] = sorted_keys[1:] != sorted_keys[:-1]
    positions = np.arange(len(keys))
    first = np.maximum.accumulate(np.where(starts, positions, 0))
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[order] = positions - first
    return ranks
