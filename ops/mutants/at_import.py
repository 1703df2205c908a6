"""Mutations of functions that run while modules are imported: a process forked after that does not see them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from mutmut.mutation.data import SourceFileMutationData
from mutmut.utils.file_utils import walk_mutatable_files

FUNCTIONS: Final = (
    "marketplace.clicks.collect.xǁEventKindǁ__init__*",
    "marketplace.enrichments.referral_sources.x__packaged*",
    "marketplace.enrichments.referral_sources.x__index*",
)
_LONGEST_SECONDS: Final = 120.0
_SURVIVED: Final = 0


def try_again(settings: dict[str, Any], pattern: str, children: int) -> None:
    """Run each survivor of these functions once more, in a process of its own, and keep what it says.

    Args:
        settings: The table ``tool.mutmut`` of pyproject.toml.
        pattern: Of mutants' names; ``*`` for all.
        children: How many at once.
    """
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        survivors = [name for name, code in data.exit_code_by_key.items() if code == _SURVIVED and _is_meant(name)]
        survivors = [name for name in survivors if fnmatch(name, f"{pattern}*")]
        if not survivors:
            continue
        with ThreadPoolExecutor(children) as pool:
            codes = list(pool.map(lambda name: _exit_code(settings, name), survivors))
        data.exit_code_by_key.update(zip(survivors, codes, strict=True))
        data.save()


def _is_meant(name: str) -> bool:
    return any(fnmatch(name, function) for function in FUNCTIONS)


def _exit_code(settings: dict[str, Any], name: str) -> int:
    arguments: Sequence[str] = (
        *settings["pytest_add_cli_args"],
        *settings["pytest_add_cli_args_test_selection"],
    )
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--rootdir=.", *arguments],
            cwd=Path("mutants"),
            env={**os.environ, "MUTANT_UNDER_TEST": name},
            capture_output=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return 36  # mutmut's code for it
