"""How many connections a process may have: as many as it says, where the system allows it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.kits.demo import ROOT

PROGRAM = """
import logging, resource, sys
from runtime.descriptors import allow_descriptors

logging.basicConfig(format="%(message)s", stream=sys.stdout)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))
allow_descriptors(int(sys.argv[2]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("hard", "wanted", "printed"),
    [
        (512, 256, "256 512"),
        (512, 32, "64 512"),
        (
            128,
            256,
            "the system allows 128 open files and connections; 256 may be needed (ulimit -n)\n128 128",
        ),
    ],
)
def test_the_limit_is_raised_as_far_as_the_system_allows_and_never_lowered(
    hard: int, wanted: int, printed: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(hard), str(wanted)], capture_output=True, text=True, timeout=60, cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert done.stdout.strip() == printed, done.stderr
