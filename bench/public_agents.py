"""``python -m bench.public_agents FILE...``: how many user agents of public lists are taken for bots.

The lists are not part of the project: docs/reference/bots.md says where they are from. A file has one user agent a
line, or is JSON (texts, or objects with ``userAgent`` and perhaps ``weight``), or is YAML with a key ``user_agent`` or
``user_agent_string`` on a line of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.user_agents import UserAgents
from marketplace.clicks import bots

_YAML: Final = re.compile(r"^\s*(?:- )?user_agent(?:_string)?: *(.*?)\s*$")
_MILLION: Final = 1_000_000


def read(path: Path) -> dict[str, float]:
    """Distinct user agents of a file, each with its weight; 1 where the file has none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".json":
        return _weights(json.loads(text))
    lines = text.splitlines()
    if path.suffix in (".yml", ".yaml"):
        found = (match.group(1) for line in lines if (match := _YAML.match(line)))
        lines = [agent[1:-1].replace("''", "'") if agent[:1] in "'\"" else agent for agent in found]
    return dict.fromkeys((line for line in lines if line.strip()), 1.0)


def _weights(document: Any) -> dict[str, float]:
    weights: Counter[str] = Counter()
    for agent, weight in _entries(document):
        weights[agent] += weight  # type: ignore[assignment]  # a counter of fractions
    return dict(weights)


def _entries(document: Any) -> Iterator[tuple[str, float]]:
    if isinstance(document, str):
        yield document, 1.0
    elif isinstance(document, dict) and "userAgent" in document:
        yield str(document["userAgent"]), float(document.get("weight", 1.0))
    elif isinstance(document, list | dict):
        for inner in document.values() if isinstance(document, dict) else document:
            yield from _entries(inner)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Print a line for each file, and with ``--show`` the user agents themselves."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    arguments.add_argument("files", nargs="+", type=Path)
    arguments.add_argument("--show", choices=("flagged", "people"), help="also print these user agents")
    given = arguments.parse_args()
    crawlers, agents = CrawlerList(), UserAgents()
    _say(bots.version(crawlers))
    for path in given.files:
        weights = read(path)
        verdicts = {agent: bots.judge_agent(agent, crawlers) for agent in weights}
        flagged = [agent for agent, verdict in verdicts.items() if verdict.reasons]
        share = sum(weights[agent] for agent in flagged) / max(sum(weights.values()), 1e-9)
        devices = Counter(agents.find(agent).device for agent in weights)
        _say(f"{path.name}: {len(weights)} distinct, {len(flagged)} flagged, {share * _MILLION:.0f} of a million")
        _say(f"  reasons {dict(Counter(reason for verdict in verdicts.values() for reason in verdict.reasons))}")
        _say(f"  devices {dict(devices)}")
        for agent, verdict in verdicts.items():
            if given.show and bool(verdict.reasons) == (given.show == "flagged"):
                _say(f"  {','.join(verdict.reasons) or '-'}\t{agent}")


if __name__ == "__main__":
    main()
