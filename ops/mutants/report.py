"""The share of mutations killed, by module, and those that survived without a reason."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EQUIVALENT: Final = Path("docs") / "explanation" / "mutants.md"
_KILLED: Final = ("killed", "timeout", "segfault")
_REFUSED: Final = "caught by type check"
_NOT_RUN: Final = "not checked"
_TEXT: Final = re.compile(r'"[^"]*"')
_BAR: Final = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Mutation:
    """A mutation and what became of it.

    Attributes:
        module: The module's dotted name.
        place: The function or constant.
        before, after: The changed line as it was and as it became, without the blanks around it.
        outcome: mutmut's word: killed, survived, timeout, ...
    """

    module: str
    place: str
    before: str
    after: str
    outcome: str


def equivalent(page: str) -> set[tuple[str, str, str]]:
    """Module (or ``*``), part of the line before, and what that part becomes, of every row of the page's table."""
    rows = [_BAR.split(line)[1:-1] for line in page.splitlines() if line.startswith("| `")]
    return {(_code(row[0]), _code(row[1]), _code(row[2])) for row in rows if len(row) == 4}


def _code(cell: str) -> str:
    return cell.strip().strip("`").strip().replace("\\|", "|")


def _is_row(mutation: Mutation, row: tuple[str, str, str]) -> bool:
    module, before, after = row
    if module not in ("*", mutation.module):
        return False
    starts = [place.start() for place in re.finditer(re.escape(before), mutation.before)]
    return any(
        mutation.before[:start] + after + mutation.before[start + len(before) :] == mutation.after for start in starts
    )


def is_wording(before: str, after: str) -> bool:
    """Whether only sentences for people were changed: a test could only repeat them."""
    old, new = _TEXT.findall(before), _TEXT.findall(after)
    if _TEXT.split(before) != _TEXT.split(after) or len(old) != len(new):
        return False
    changed = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
    return all(" " in one and other.replace("XX", "").lower() == one.lower() for one, other in changed)


def report(mutations: list[Mutation], known: set[tuple[str, str, str]]) -> str:
    """A line for each module, one for all, and every survivor that is not known to be equivalent.

    What the type checker refused needs no test and is in no share; nor is what is known to be equivalent, or wording.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    survivors: list[Mutation] = []
    for mutation in mutations:
        if mutation.outcome in _KILLED:
            kind = "killed"
        elif mutation.outcome == _REFUSED:
            kind = "refused"
        elif mutation.outcome == _NOT_RUN:
            kind = "not run"
        elif any(_is_row(mutation, row) for row in known):
            kind = "equivalent"
        elif is_wording(mutation.before, mutation.after):
            kind = "wording"
        else:
            kind = "survived"
            survivors.append(mutation)
        counts[mutation.module][kind] += 1
        counts["all"][kind] += 1
    order = [*sorted(counts.keys() - {"all"}), *(["all"] if counts else [])]
    titles = f"{'equivalent':>12}{'wording':>9}{'mypy':>7}{'not run':>9}"
    lines = [f"{'module':<48}{'killed':>8}{'survived':>10}{titles}{'share':>9}"]
    for module in order:
        count = counts[module]
        tried = count["killed"] + count["survived"]
        share = f"{count['killed'] / tried:.1%}" if tried else "-"
        kept_out = f"{count['equivalent']:>12}{count['wording']:>9}{count['refused']:>7}{count['not run']:>9}"
        lines.append(f"{module:<48}{count['killed']:>8}{count['survived']:>10}{kept_out}{share:>9}")
    for mutation in survivors:
        lines += ["", f"{mutation.module}: {mutation.place}: {mutation.outcome}"]
        lines += [f"- {mutation.before}", f"+ {mutation.after}"]
    return "\n".join(lines)


def read_constants(results: Path) -> Iterator[Mutation]:
    """Those of constants."""
    for key, outcome in json.loads(results.read_text()).items():
        module, place, change = key.split(": ", 2)
        before, after = change.split(" -> ", 1)
        yield Mutation(module, place, before, after, outcome)


def read_functions() -> Iterator[Mutation]:
    """Those of functions, from mutmut's files under ``mutants``."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.file_utils import walk_mutatable_files

    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, exit_code in data.exit_code_by_key.items():
            outcome = status_by_exit_code[exit_code]
            module, _, mangled = name.rpartition(".")
            before = after = ""
            if outcome not in (*_KILLED, _REFUSED, _NOT_RUN):
                before, after = changed_lines(get_diff_for_mutant(name, path=path))
            place = mangled.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
            yield Mutation(module, place, before, after, outcome)


def changed_lines(diff: str) -> tuple[str, str]:
    """The lines that a difference takes out and puts in, each as one line."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    before, after = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return before, after
