"""``python -m ops.mutants``: the rest of `make mutants`, after mutmut has run: constants, and the report."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

from ops.mutants import at_import, constants, report


def main() -> int:
    """Run what is asked for and print the report; always 0, since a survivor is a question and not a failure."""
    parser = argparse.ArgumentParser(prog="python -m ops.mutants", description="Mutations of constants, and a report.")
    parser.add_argument("--only", default="*", help="modules whose constants are mutated, as a pattern [all]")
    parser.add_argument("--children", type=int, default=2, help="test runs at once [%(default)s]")
    parser.add_argument("--report", action="store_true", help="only print what is there already")
    options = parser.parse_args()
    if not options.report:
        settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutmut"]
        at_import.try_again(settings, options.only, options.children)
        found = constants.read_outcomes(settings)
        # A run that was stopped goes on where it was.
        killed = [change for change, outcome in found.items() if outcome == "killed"]
        for change, outcome in constants.run(settings, options.only, options.children, killed):
            found[change] = outcome
            constants.RESULTS.write_text(json.dumps(found, indent=1))
    mutations = list(report.read_functions())
    if constants.RESULTS.exists():
        mutations += report.read_constants(constants.RESULTS)
    known = report.equivalent(report.EQUIVALENT.read_text())
    print(report.report(mutations, known))  # noqa: T201  # the report is what the command is for
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
