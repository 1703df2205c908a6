"""How thorough a run is: ``make test`` within minutes, ``make chaos`` with everything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import pytest

CHAOS_SEEDS: Final = int(os.environ.get("CHAOS_SEEDS", "1"))

CHAOS: Final = pytest.mark.chaos
"""In every run, and in ``make chaos`` with more seeds."""

LONG: Final = pytest.mark.long
"""In ``make chaos`` only: a similar and shorter case is in every run."""

SKIP_LONG: Final = pytest.mark.skip(reason="only in make chaos: a similar and shorter case is in every run")

T = TypeVar("T")


def share(values: Sequence[T], place: Any, alike: Sequence[Any], parts: int = 3) -> list[T]:
    """The values that one of several places gets which are alike by construction: one piece of code refuses them there.

    In every run all of the places together get each value, and each place a part of them; in ``make chaos`` each place
    gets all.

    Args:
        values: What can be there.
        place: Which of the places it is.
        alike: All of them.
        parts: How many places share the values, if there are so many.
    """
    step = 1 if CHAOS_SEEDS >= 3 else min(parts, len(alike))
    return list(values[alike.index(place) % step :: step])
