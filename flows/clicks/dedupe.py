"""Transport duplicates: the same event sent again."""

from __future__ import annotations

from flows.clicks.batch import I64, U64, Bools
from flows.clicks.hashing import mix
from flows.clicks.refires import rank_within


def find_duplicates(keys: U64, hours: I64, untold: Bools, seen: Bools) -> Bools:
    """Which events of a batch repeat an accepted one.

    An event that tells its time is filed under that hour, and all its copies with it. One that does not is filed
    under the hour of its receipt, so its copy may lie one hour further; a copy that comes later than that counts again.

    Args:
        keys: Dedupe keys, in order of arrival.
        hours: The hour under which each is filed.
        untold: Events without a time of their own.
        seen: Where an event of an earlier batch already decides.
    """
    duplicate = seen | (rank_within(mix(keys, hours)) > 0)
    if not untold.any():
        return duplicate
    accepted: set[tuple[int, int]] = set()
    repeated = untold & (rank_within(keys) + rank_within(keys[::-1])[::-1] > 0)
    for at in repeated.nonzero()[0].tolist():
        key, hour = int(keys[at]), int(hours[at])
        duplicate[at] = seen[at] or not accepted.isdisjoint({(key, hour), (key, hour - 1)})
        if not duplicate[at]:
            accepted.add((key, hour))
    return duplicate
