"""What all tests share: the embedded stack, and how hard Hypothesis looks."""

import gc
import os
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.kits.depth import CHAOS_SEEDS, SKIP_LONG
from tests.kits.processes import processes_marked, wait_until

pytest_plugins = ["tests.kits.stack_fixtures", "tests.kits.tenancy_fixtures"]

# Nothing that is imported and collected is garbage; it is looked through once, at the end.
gc.disable()

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

_ALONGSIDE: Final = (("chaos", "e2e", "flow"), ("integration", "contract"))
"""Folders whose files are taken in turn: those of the first keep the processor busy, those of the second wait much."""
_LAST: Final = ("property", "unit")
"""Folders of short files, which come last, so that all workers end together."""


def _in_order(files: Iterable[Path]) -> list[Path]:
    """Files of tests in the order in which workers take them."""
    known = {folder for group in _ALONGSIDE for folder in group} | set(_LAST)
    of_folder: dict[str, list[Path]] = {}
    for file in files:
        folder = file.relative_to(Path(__file__).parent).parts[0]
        of_folder.setdefault(folder if folder in known else "", []).append(file)
    groups = [[file for folder in group for file in of_folder.get(folder, [])] for group in _ALONGSIDE]
    alongside = sorted((at / len(group), file) for group in groups for at, file in enumerate(group))
    last = [file for folder in _LAST for file in of_folder.get(folder, [])]
    return [*of_folder.get("", []), *(file for _, file in alongside), *last]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest, or against a mutation with the shortest; skip what only ``make chaos`` runs."""
    place = {file: at for at, file in enumerate(_in_order(dict.fromkeys(item.path for item in items)))}
    # The first failure ends a run against a mutation.
    items.sort(key=lambda item: place[item.path], reverse=os.environ.get("HYPOTHESIS_PROFILE") == "mutants")
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
    # At Ctrl-C there is nothing of the test left to ask.
    folder = (request.node.funcargs or {}).get("tmp_path")
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


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was collected stays to the end: looking through it at every collection of garbage finds nothing."""
    gc.collect()
    gc.freeze()
    gc.enable()
