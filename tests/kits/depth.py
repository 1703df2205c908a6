"""How thorough a run is: ``make test`` within minutes, ``make chaos`` with everything."""

from __future__ import annotations

import os
from typing import Final

import pytest

CHAOS_SEEDS: Final = int(os.environ.get("CHAOS_SEEDS", "1"))

CHAOS: Final = pytest.mark.chaos
"""In every run, and in ``make chaos`` with more seeds."""

LONG: Final = pytest.mark.long
"""In ``make chaos`` only: a similar and shorter case is in every run."""

SKIP_LONG: Final = pytest.mark.skip(reason="only in make chaos: a similar and shorter case is in every run")
