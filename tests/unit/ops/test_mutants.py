"""The rest of `make mutants`: what is changed in constants, and what the report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.mutants.constants import RESULTS, covering_tests, number_mutations, read_outcomes, run
from ops.mutants.report import Mutation, changed_lines, equivalent, is_wording, report
from tests.kits.depth import LONG

SOURCE = """
LIMIT: Final = 3 * 10
NAME = "7"


class Policy:
    tries: int = 0


def half(value):
    return value / 2
"""


def test_each_number_of_a_constant_becomes_one_more_and_one_less_but_never_negative() -> None:
    assert [(mutation.name, mutation.after) for mutation in number_mutations(SOURCE)] == [
        ("LIMIT", "LIMIT: Final = 4 * 10"),
        ("LIMIT", "LIMIT: Final = 2 * 10"),
        ("LIMIT", "LIMIT: Final = 3 * 11"),
        ("LIMIT", "LIMIT: Final = 3 * 9"),
        ("tries", "tries: int = 1"),
    ]


def test_a_mutation_of_a_constant_changes_its_line_and_nothing_else() -> None:
    for mutation in number_mutations(SOURCE):
        changed = mutation.source.splitlines()
        assert changed[mutation.line - 1].strip() == mutation.after
        changed[mutation.line - 1] = SOURCE.splitlines()[mutation.line - 1]
        assert changed == SOURCE.splitlines()


def test_numbers_after_text_of_more_than_one_byte_a_character_are_found() -> None:
    (more, _) = number_mutations('NAMES = ("é", 5)')
    assert more.after == 'NAMES = ("é", 6)'


def test_the_tests_of_a_constant_are_those_of_every_module_that_names_it(tmp_path: Path) -> None:
    declares, uses, other = (tmp_path / name for name in ("declares.py", "uses.py", "other.py"))
    declares.write_text("LIMIT = 3")
    uses.write_text("from declares import LIMIT")
    other.write_text("LIMITS = 3")
    names = {path: ".".join(path.with_suffix("").parts) for path in (declares, uses, other)}
    tests = {f"{names[declares]}.x_f": ["b"], f"{names[uses]}.x_g": ["a", "b"], f"{names[other]}.x_h": ["c"]}

    assert covering_tests("LIMIT", declares, [declares, uses, other], tests) == ["a", "b"]


SETTINGS: dict[str, Any] = {
    "source_paths": ["rules"],
    "only_mutate": ["rules/*"],
    "do_not_mutate": [],
    "also_copy": [],
    "pytest_add_cli_args": ["-p", "no:cacheprovider"],
    "pytest_add_cli_args_test_selection": ["tests"],
}
MORE, LESS = (f"rules.limits: LIMIT: LIMIT = 3 -> LIMIT = {number}" for number in (4, 2))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One constant, and a test that sees when it is less."""
    for folder in ("rules", "tests", "mutants"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "rules" / "limits.py").write_text("LIMIT = 3\n")
    test = "from rules.limits import LIMIT\n\n\ndef test_limit():\n    assert LIMIT >= 3\n"
    (tmp_path / "tests" / "test_limits.py").write_text(test)
    (tmp_path / "mutants" / "mutmut-stats.json").write_text(json.dumps({"tests_by_mangled_function_name": {}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@LONG
def test_a_change_that_a_test_sees_is_killed_and_any_other_survives(project: Path) -> None:
    assert dict(run(SETTINGS, "*", 1)) == {MORE: "survived", LESS: "killed"}


@LONG
def test_what_is_known_is_not_tried_again(project: Path) -> None:
    assert dict(run(SETTINGS, "*", 1, [LESS])) == {MORE: "survived"}


@LONG
def test_nothing_counts_as_killed_where_the_tests_fail_without_a_change(project: Path) -> None:
    test = project / "tests" / "test_limits.py"
    test.write_text(test.read_text().replace("LIMIT >= 3", "LIMIT > 3"))

    with pytest.raises(RuntimeError, match="nothing is changed"):
        list(run(SETTINGS, "*", 1))


@LONG
def test_nothing_counts_as_killed_where_a_test_has_another_name_in_each_run(project: Path) -> None:
    (project / "tests" / "test_names.py").write_text(
        "import uuid\n\nimport pytest\n\n\n"
        "@pytest.mark.parametrize('name', [uuid.uuid4().hex])\ndef test_name(name):\n    assert name\n"
    )

    with pytest.raises(RuntimeError, match="nothing is changed"):
        list(run(SETTINGS, "*", 1))


def test_what_was_found_is_read_back_without_constants_that_have_changed_since(project: Path) -> None:
    assert read_outcomes(SETTINGS) == {}
    outcomes = {MORE: "survived", LESS: "killed"}
    RESULTS.write_text(json.dumps(outcomes))
    assert read_outcomes(SETTINGS) == outcomes

    (project / "rules" / "limits.py").write_text("LIMIT = 5\n")

    assert read_outcomes(SETTINGS) == {}


def test_the_share_is_of_what_was_tried_without_what_mypy_refused_and_what_is_equivalent() -> None:
    page = "| module | line | changed to | why |\n|---|---|---|---|\n| `m` | `a \\| b` | `a & b` | Never both. |\n"
    mutations = [
        Mutation("m", "f", "", "", "killed"),
        Mutation("m", "f", "", "", "timeout"),
        Mutation("m", "f", "", "", "caught by type check"),
        Mutation("m", "f", "", "", "not checked"),
        Mutation("m", "f", "a | b", "a & b", "survived"),
        Mutation("m", "g", "x < y", "x <= y", "no tests"),
        Mutation("m", "g", 'say("no such page")', 'say("XXno such pageXX")', "survived"),
    ]

    said = report(mutations, equivalent(page))

    assert said.splitlines()[1].split() == ["m", "2", "1", "1", "1", "1", "1", "66.7%"]
    assert said.splitlines()[2].split() == ["all", "2", "1", "1", "1", "1", "1", "66.7%"]
    assert said.splitlines()[4:] == ["m: g: no tests", "- x < y", "+ x <= y"]


def test_a_module_of_which_nothing_was_tried_has_no_share() -> None:
    assert report([Mutation("m", "f", "", "", "caught by type check")], set()).splitlines()[1].split()[-1] == "-"


def test_a_change_over_several_lines_is_one_line_before_and_one_after() -> None:
    diff = "--- a\n+++ b\n@@ -1,3 +1,2 @@\n def f():\n-    call(\n-        1)\n+    call()\n"
    assert changed_lines(diff) == ("call( 1)", "call()")


@pytest.mark.parametrize(
    ("before", "after", "wording"),
    [
        ('Fault("a_code", "is empty")', 'Fault("a_code", "XXis emptyXX")', True),
        ('Fault("a_code", "is empty")', 'Fault("a_code", "IS EMPTY")', True),
        ('Fault("a_code", "is empty")', 'Fault("XXa_codeXX", "is empty")', False),
        ('Fault("a_code", "is empty")', "Fault(None)", False),
        ("x < 1", "x <= 1", False),
    ],
)
def test_a_changed_sentence_is_wording_and_a_changed_code_is_not(before: str, after: str, wording: bool) -> None:
    assert is_wording(before, after) == wording


def test_a_row_may_name_a_part_of_the_line_and_every_module() -> None:
    known = equivalent('| module | line | changed to | why |\n| `*` | `"utf-8"` | `"UTF-8"` | One encoding. |')
    mutations = [
        Mutation("m", "f", 'a.encode("utf-8")', 'a.encode("UTF-8")', "survived"),
        Mutation("m", "f", 'a.encode("utf-8")', 'a.encode("XXutf-8XX")', "survived"),
    ]

    assert report(mutations, known).splitlines()[1].split() == ["m", "0", "1", "1", "0", "0", "0", "0.0%"]
