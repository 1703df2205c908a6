"""How thorough a run is: ``make test`` within minutes, ``make chaos`` with everything."""

from __future__ import annotations

import os
from typing import Final

import pytest

CHAOS_SEEDS: Final = int(os.environ.get("CHAOS_SEEDS", "1"))
LONG: Final = pytest.mark.skipif(CHAOS_SEEDS < 3, reason="make chaos runs it: a like case is in every test run")
