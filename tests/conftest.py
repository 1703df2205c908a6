"""What all tests share: the embedded stack, and how hard Hypothesis looks."""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.kits.depth import CHAOS_SEEDS, SKIP_LONG
from tests.kits.processes import processes_marked, wait_until

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


_HAS_FAILED: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed, for what ends it."""
    report = yield
    item.stash[_HAS_FAILED] = item.stash.get(_HAS_FAILED, False) or report.failed
    return report


@pytest.fixture(autouse=True)
def _what_a_failed_test_has_started_ends_with_it(request: pytest.FixtureRequest) -> Iterator[None]:
    """A whole marketplace that nobody stops would slow down all tests that follow."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None and request.node.stash.get(_HAS_FAILED, False):
        wait_until(lambda: not _killed(str(folder)), 20, "no process of the failed test left")


def _killed(mark: str) -> list[int]:
    found = [pid for pid in processes_marked(mark) if pid != os.getpid()]
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their parameter: compressed ones may hold the time, and all workers must agree on names."""
    return argname if isinstance(val, bytes) else None
