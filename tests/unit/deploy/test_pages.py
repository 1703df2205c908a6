"""The commands of the pages about deploying name containers, volumes and commands of ours that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from ops.processes import health_port
from ops.stack.registry import REGISTRY
from tests.kits.compose import ROOT, Deployment, read_compose
from tests.kits.compose_parts import BAD_ARGUMENT, parse_command

PAGES: Final = (ROOT / "README.md", *sorted(ROOT.glob("docs/how-to/*.md")))
_NAMES_OF_SERVICES: Final = frozenset({"up", "stop", "start", "restart", "logs", "build", "ps"})
_WITH_A_VALUE: Final = frozenset({"-e", "--profile", "--file", "--timeout"})
"""Options of compose on these pages that are followed by a value."""


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command of compose, of ours in a container, and of ours on a machine."""
    text = page.read_text().replace("\\\n", " ")
    written = [*re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)]
    for line in (line for block in written for line in block.splitlines()):
        plain = re.sub(r"\$\([^()]*\)", "VALUE", line)
        for found in re.findall(r"(docker compose .*?)(?: && | \|\|? |; |[<>] |\)|\s# |\s{3,}|$)", plain):
            # Without quotes: a command may end within one, at what would end it outside.
            yield re.sub(r"[\"']", "", found).split()


def wrong(words: list[str], deployment: Deployment) -> Iterator[str]:
    """What compose, or a command of ours, would not know."""
    rest = list(words[2:])
    plain: list[str] = []
    while rest and not (plain[:1] in (["exec"], ["run"]) and len(plain) == 2):
        word = rest.pop(0)
        if word in _WITH_A_VALUE:
            rest.pop(0)
        elif not word.startswith("-"):
            plain.append(word)
    verb, names = (plain[0], plain[1:]) if plain else ("", [])
    if verb in _NAMES_OF_SERVICES or verb in ("exec", "run"):
        yield from (f"no service {each}" for each in names if each not in deployment.services and not each.isupper())
    if verb == "exec" and rest[:1] == ["marketplace"]:
        yield from unknown_command(rest[1:])


def unknown_command(words: list[str]) -> Iterator[str]:
    try:
        parse_command(words)
    except (BAD_ARGUMENT, KeyError) as error:
        yield f"{' '.join(words)}: {error}"


@pytest.fixture(scope="module")
def whole() -> Deployment:
    return read_compose()


def test_commands_of_compose_on_the_pages_name_what_there_is(whole: Deployment) -> None:
    found = {page.name: list(commands(page)) for page in PAGES}
    assert len(found["back-up.md"]) > 10
    assert len(found["deploy.md"]) > 10
    problems = [f"{name}: {line}" for name, each in found.items() for words in each for line in wrong(words, whole)]
    assert problems == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("docker compose exec -T clickhose cat it", "no service clickhose"),
        ("docker compose up -d --wait kafka-1 mongo-4", "no service mongo-4"),
        ("docker compose exec consumers marketplace consumer list", "consumer list"),
        ("docker compose exec consumers marketplace consumers retry", "consumers retry"),
    ],
)
def test_a_wrong_name_in_a_command_is_found(command: str, said: str, whole: Deployment) -> None:
    assert [line for line in wrong(shlex.split(command), whole) if said in line]


def test_volumes_in_the_loops_about_backups_are_those_of_the_project(whole: Deployment) -> None:
    page = (ROOT / "docs/how-to/back-up.md").read_text()
    prefix = whole.document["name"]
    assert set(re.findall(r'--volume "(\w+)_\$volume:', page)) == {prefix}
    assert "grep '^marketplace:'" in page
    disk = "/var/lib/clickhouse/backups"
    assert f"<path>{disk}/</path>" in (ROOT / "deploy/clickhouse/config.xml").read_text()
    assert set(re.findall(r"/var/lib/clickhouse/\w+", page)) == {disk}


def test_addresses_of_metrics_are_where_the_processes_listen_for_others(whole: Deployment) -> None:
    page = (ROOT / "docs/how-to/deploy.md").read_text().partition("## Metrics")[2].partition("\n## ")[0]
    written = {(host, int(port)) for host, port in re.findall(r"`([a-z-]+):(\d+)`", page)}
    wanted = set()
    for name in whole.ours:
        if open_to_others(whole, name):
            wanted.add((name, health_port(REGISTRY.service(whole.runs(name)), whole.environment(name))))
    assert len(wanted) == 6
    assert written == wanted


def open_to_others(deployment: Deployment, name: str) -> bool:
    """Whether the page about metrics of a container is not on its loopback alone."""
    if deployment.runs(name) not in REGISTRY or deployment.runs(name) in ("payments", "dashboard", ""):
        return False
    service, given = REGISTRY.service(deployment.runs(name)), deployment.environment(name)
    variable = service.admin_port_variable or service.listen_variable or service.port_variable
    return given.get(variable.removesuffix("PORT") + "HOST") == "0.0.0.0"


def test_claims_of_the_operators_on_the_page_about_backups_are_theirs() -> None:
    page = (ROOT / "docs/how-to/back-up.md").read_text()
    mongo = (ROOT / "helm/operators/mongodb.yaml").read_text()
    (claim,) = re.findall(r"metadata: \{name: ([\w-]+)\}\n\s+spec:\n\s+accessModes", mongo)
    (name,) = re.findall(r"^  name: (\w+)$", mongo, re.MULTILINE)
    assert f"`{claim}-{name}-0`" in page
    pools = re.findall(
        r"^kind: KafkaNodePool\nmetadata:\n  name: (\w+)", (ROOT / "helm/operators/kafka.yaml").read_text(), re.M
    )
    assert [each for each in pools if f"`data-0-{name}-{each}-...`" not in page] == []
