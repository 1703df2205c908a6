"""Where the tables and the oracle disagree, in lines that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from ops.oracle.expected import Numbers, RollupKey

EXACT_VISITORS: Final = 2_000
"""Up to here the tables' visitor sets are exact; a larger one is an estimate."""

VISITORS_ERROR: Final = 0.02
"""How far an estimate may be off: four standard errors of 2**17 cells are 1.2 %."""

_Key = TypeVar("_Key")


def ledger_differences(expected: Mapping[_Key, int], actual: Mapping[_Key, int]) -> list[str]:
    """One line for each key whose count is not the same; an absent key counts nothing."""
    keys = sorted(set(expected) | set(actual), key=repr)
    return [
        f"{key}: {actual.get(key, 0)} in the tables, {expected.get(key, 0)} expected"
        for key in keys
        if actual.get(key, 0) != expected.get(key, 0)
    ]


def rollup_differences(
    expected: Mapping[RollupKey, Numbers], actual: Mapping[RollupKey, Numbers], visitors_error: float = VISITORS_ERROR
) -> list[str]:
    """One line for each bucket whose numbers are not the same; an absent bucket is all zeros.

    Everything but visitors is compared exactly, and visitors too up to ``EXACT_VISITORS``.
    """
    lines = []
    for key in sorted(set(expected) | set(actual), key=repr):
        wanted, found = expected.get(key, Numbers()), actual.get(key, Numbers())
        allowed = 0.0 if wanted.visitors <= EXACT_VISITORS else wanted.visitors * visitors_error
        same = wanted._replace(visitors=0) == found._replace(visitors=0)
        if not same or abs(wanted.visitors - found.visitors) > allowed:
            lines.append(f"{tuple(key)}: {tuple(found)} in the tables, {tuple(wanted)} expected")
    return lines
