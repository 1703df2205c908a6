"""Mutations that mutmut does not make: numbers in constants of modules and in defaults of classes.

Such a number is read once, at import, so each mutation gets a copy of the tree and a process of its own.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path("mutants") / "constants.json"
_TESTS: Final = Path("mutants") / "mutmut-stats.json"
_LONGEST_SECONDS: Final = 300.0
_PASSED, _NO_TESTS = 0, 5
"""Exit codes of pytest: all passed; none was selected."""


@dataclass(frozen=True)
class NumberMutation:
    """One number of one statement, changed by one.

    Attributes:
        name: What the statement assigns to.
        line: Of the number, from 1.
        before, after: The line as it is and as it becomes, without the blanks around it.
        source: The whole module with the change.
    """

    name: str
    line: int
    before: str
    after: str
    source: str


def number_mutations(source: str) -> Iterator[NumberMutation]:
    """Each number of a module's and its classes' constants, one more and, where that is not negative, one less."""
    module = ast.parse(source)
    classes = [node.body for node in module.body if isinstance(node, ast.ClassDef)]
    lines = source.splitlines(keepends=True)
    for statement in (statement for body in (module.body, *classes) for statement in body):
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        for node in ast.walk(statement.value):
            if not isinstance(node, ast.Constant):
                continue
            value = node.value
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            line = lines[node.lineno - 1].encode()
            for number in (value + 1, value - 1):
                if number < 0:
                    continue
                changed = (line[: node.col_offset] + repr(number).encode() + line[node.end_col_offset :]).decode()
                yield NumberMutation(
                    name=ast.unparse(target),
                    line=node.lineno,
                    before=line.decode().strip(),
                    after=changed.strip(),
                    source="".join((*lines[: node.lineno - 1], changed, *lines[node.lineno :])),
                )


def mutated_files(settings: dict[str, Any]) -> list[Path]:
    """The files that mutmut's settings name, without those that they leave out."""
    files = [path for folder in settings["source_paths"] for path in sorted(Path(folder).rglob("*.py"))]
    return [
        path
        for path in files
        if any(fnmatch(str(path), pattern) for pattern in settings["only_mutate"])
        and not any(fnmatch(str(path), pattern) for pattern in settings["do_not_mutate"])
    ]


def covering_tests(name: str, path: Path, files: list[Path], tests_by_function: dict[str, list[str]]) -> list[str]:
    """The tests that enter a module in which the constant's name occurs, in order; none where that is unknown."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    modules = {".".join(file.with_suffix("").parts) for file in files if file == path or word.search(file.read_text())}
    return sorted(
        {
            test
            for function, tests in tests_by_function.items()
            if function.rpartition(".")[0] in modules
            for test in tests
        }
    )


def run(
    settings: dict[str, Any], pattern: str, children: int, known: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Each mutation as ``module: name: before -> after``, and its outcome: killed, survived or timeout.

    Args:
        settings: The table ``tool.mutmut`` of pyproject.toml.
        pattern: Of modules' names; ``*`` for all.
        children: How many test runs at once.
        known: Mutations that are left out.

    Raises:
        RuntimeError: Tests fail or are missing though nothing is changed: every mutation would count as killed.
    """
    files = mutated_files(settings)
    jobs: dict[str, partial[str]] = {}
    # mutmut adds to what it knew before: tests that were renamed since are still in its file.
    present = _collected(settings)
    entered = json.loads(_TESTS.read_text())["tests_by_mangled_function_name"]
    tests_by_function = {name: [test for test in tests if test in present] for name, tests in entered.items()}
    # Which functions a test enters that is newer than mutmut's last run, or that only compares constants, is unknown.
    others = present.difference(*entered.values())
    for key, (path, mutation) in _mutations(files, pattern).items():
        if key not in known:
            tests = sorted(others | set(covering_tests(mutation.name, path, files, tests_by_function)))
            jobs[key] = partial(_outcome, settings, path, mutation.source, tests)
    if jobs:
        _check_unchanged(settings, files[0], sorted(present))
    with ThreadPoolExecutor(children) as pool:
        yield from zip(jobs, pool.map(lambda job: job(), jobs.values()), strict=True)


def read_outcomes(settings: dict[str, Any]) -> dict[str, str]:
    """What earlier runs found of the mutations that there are now; nothing of lines that have changed since."""
    found: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    present = _mutations(mutated_files(settings), "*")
    return {change: outcome for change, outcome in found.items() if change in present}


def _mutations(files: list[Path], pattern: str) -> dict[str, tuple[Path, NumberMutation]]:
    found = {}
    for path in files:
        module = ".".join(path.with_suffix("").parts)
        if fnmatch(module, pattern):
            for mutation in number_mutations(path.read_text()):
                found[f"{module}: {mutation.name}: {mutation.before} -> {mutation.after}"] = (path, mutation)
    return found


def _check_unchanged(settings: dict[str, Any], path: Path, tests: list[str]) -> None:
    outcome = _outcome(settings, path, path.read_text(), tests)
    if outcome != "survived":
        raise RuntimeError(f"the tests do not pass where nothing is changed ({outcome}): no mutation can be judged")


def _collected(settings: dict[str, Any]) -> frozenset[str]:
    """The ids of all tests that are selected."""
    selected = [*settings["pytest_add_cli_args"], *settings["pytest_add_cli_args_test_selection"]]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *selected]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return frozenset(line for line in listed.splitlines() if "::" in line)


def _outcome(settings: dict[str, Any], path: Path, source: str, tests: list[str]) -> str:
    copied = (*settings["source_paths"], *settings["also_copy"], "tests", "pyproject.toml")
    with tempfile.TemporaryDirectory() as folder:
        for name in copied:
            if Path(name).is_dir():
                shutil.copytree(name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(name, Path(folder, name))
        Path(folder, path).write_text(source)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--rootdir=.", *settings["pytest_add_cli_args"]]
        command += tests or settings["pytest_add_cli_args_test_selection"]
        try:
            ended = subprocess.run(command, cwd=folder, capture_output=True, timeout=_LONGEST_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return "timeout"
    # A change that breaks an import is seen, too: pytest then misses the tests that it was asked for.
    return "survived" if ended.returncode in (_PASSED, _NO_TESTS) else "killed"
