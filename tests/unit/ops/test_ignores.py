"""Where a check is switched off, the line says why."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = (
    "api", "bench", "connectors", "dashboards", "flows", "ingest", "marketplace", "ops", "runtime", "saga_consumers",
    "tests",
)  # fmt: skip
SWITCHED_OFF = re.compile(r"#\s*(?:type: ignore\[[\w, -]+\]|noqa: [A-Z]+\d+(?:, [A-Z]+\d+)*)")


def without_reason(source: str) -> list[int]:
    """Numbers of lines in which a check is switched off without a word."""
    if not SWITCHED_OFF.search(source):
        return []
    comments = (
        each for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.type == tokenize.COMMENT
    )
    return [
        each.start[0]
        for each in comments
        if SWITCHED_OFF.search(each.string) and not SWITCHED_OFF.sub("", each.string).strip(" #")
    ]


def test_each_line_without_a_check_says_why() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 1_000
    assert {str(file.relative_to(ROOT)): found for file in files if (found := without_reason(file.read_text()))} == {}


@pytest.mark.parametrize("off", ["type: ignore[misc]", "noqa: E731", "noqa: E731, B023"])
def test_one_without_a_word_is_found(off: str) -> None:
    assert without_reason(f"a = 1\nb = 2  # {off}\n") == [2]
    assert without_reason(f"b = 2  # {off}  # for a reason\n") == []
    assert without_reason(f"b = '# {off}'\n") == []
