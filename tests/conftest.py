"""What all tests share: the embedded stack, and how hard Hypothesis looks."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.kits.depth import CHAOS_SEEDS, SKIP_LONG

pytest_plugins = ["tests.kits.stack_fixtures"]

# The machine that runs the tests is small and busy: examples are bounded, and none is failed for being slow.
settings.register_profile("quick", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A mutation is killed by the same examples in every run, or by none, and nobody reads the smallest one.
settings.register_profile(
    "mutants",
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# A shell starts its background jobs deaf to Ctrl-C, and so are their children: tests that press it would see nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LONGEST_FIRST = ("chaos", "e2e", "flow", "integration", "contract", "property", "unit")
"""Folders in the order in which workers take their files: the short ones come last, so that all end together."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start with what takes longest, or against a mutation with the shortest; skip what only ``make chaos`` runs."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0]
        return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else 0

    # The first failure ends a run against a mutation.
    items.sort(key=rank, reverse=os.environ.get("HYPOTHESIS_PROFILE") == "mutants")
    for item in items:
        if CHAOS_SEEDS < 3 and item.get_closest_marker("long"):
            item.add_marker(SKIP_LONG)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their parameter: compressed ones may hold the time, and all workers must agree on names."""
    return argname if isinstance(val, bytes) else None
