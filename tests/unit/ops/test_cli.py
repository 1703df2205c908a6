"""The command line as a person meets it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from typer.main import get_command

from connectors.insights.report import Bots
from marketplace.rollups import DIMENSIONS, GRAINS
from marketplace.settings import Urls
from ops.cli import make_app
from ops.reference.cli import TARGET, reference
from tests.kits.commands import ROOT, run_command


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    return run_command(*arguments, cwd=folder, env={**clean, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **variables})


def test_the_reference_page_is_what_the_commands_say() -> None:
    assert TARGET.read_text() == reference(), "run 'make reference'"


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "--store", "shop"],
        ["ledger"],
        ["flows", "run", "clicks"],
        ["provision"],
        ["ingest", "log", "-", "--store", "shop"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_without_a_stack_a_command_says_so_in_one_line_and_fails(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("marketplace: no stack is running in .marketplace: start one with 'marketplace up'")
    assert "--data" in done.stderr


@pytest.mark.parametrize("folder", ["a" * 300, "b/" * 2_500], ids=["a long name", "a long path"])
@pytest.mark.parametrize("command", ["up", "down", "status", "stores list", "provision"])
def test_a_data_folder_that_cannot_be_is_named_in_one_line(command: str, folder: str, tmp_path: Path) -> None:
    done = run(*command.split(), folder=tmp_path, MARKETPLACE_DATA=str(tmp_path / folder))
    assert (done.stdout, len(done.stderr.strip().splitlines())) == ("", 1)
    assert str(tmp_path / folder)[:200] in done.stderr
    assert done.returncode in (1, 2)


@pytest.mark.parametrize("command", ["stores list", "provision"])
@pytest.mark.parametrize("folder", ["[b]x", "[/b]x"])
def test_brackets_in_the_name_of_a_folder_are_no_markup(command: str, folder: str, tmp_path: Path) -> None:
    done = run(*command.split(), folder=tmp_path, MARKETPLACE_DATA=folder)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
    assert f"in {folder}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["ingest", "log", "-", "--store", "shop", "--no-drain"], {"KAFKA", "MONGO"}),
        (["ingest", "log", "-", "--store", "shop", "--drain"], {"KAFKA", "MONGO", "CLICKHOUSE"}),
        (["flows", "run", "dead_letters"], {"KAFKA", "MONGO", "CLICKHOUSE"}),
        (["flows", "run", "clicks"], {"KAFKA", "MONGO", "CLICKHOUSE", "REDIS"}),
        (["flows", "accept-loss", "clicks"], {"KAFKA", "CLICKHOUSE"}),
        (["report", "--store", "shop"], {"MONGO", "CLICKHOUSE"}),
        (["ledger"], {"KAFKA", "CLICKHOUSE"}),
        (["ledger", "--store", "shop"], {"MONGO", "CLICKHOUSE"}),
        (["dlq", "list"], {"KAFKA", "CLICKHOUSE"}),
        (["dlq", "list", "--store", "shop"], {"KAFKA", "CLICKHOUSE", "MONGO"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_asks_for_the_urls_of_the_parts_that_it_needs_and_no_others(
    arguments: list[str], needed: set[str], tmp_path: Path
) -> None:
    done = run(*arguments, folder=tmp_path)
    assert set(re.findall(r"MARKETPLACE_([A-Z]+)_URL", done.stderr)) == needed


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "log", "-", "--store", "shop", "--no-drain"],
        ["flows", "run", "dead_letters"],
        ["flows", "run", "clicks"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MARKETPLACE_KAFKA_URL", "nonsense", "MARKETPLACE_KAFKA_URL: give host:port"),
        ("MARKETPLACE_MONGO_URL", "redis://m", "MARKETPLACE_MONGO_URL: this is no URL that begins with mongodb://"),
        ("MARKETPLACE_DATABASE", "9lives", "MARKETPLACE_DATABASE=9lives: use a-z, 0-9 and _"),
    ],
)
def test_a_setting_that_a_command_needs_and_cannot_use_is_named_in_one_line(
    arguments: list[str], variable: str, value: str, said: str, tmp_path: Path
) -> None:
    urls = Urls("127.0.0.1:1", "mongodb://127.0.0.1:1", "http://127.0.0.1:1", "redis://127.0.0.1:1")
    done = run(*arguments, folder=tmp_path, **{**urls.environment(), variable: value})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_an_unknown_flow_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    done = run("flows", "run", "klicks", folder=tmp_path)
    assert done.returncode == 1
    assert "no flow 'klicks'; there are clicks" in done.stderr


def test_an_option_without_a_name_is_not_everything(tmp_path: Path) -> None:
    done = run("provision", "--only", "", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "marketplace: --only names nothing\n")


@pytest.mark.parametrize("name", ["kafka", "traffic", "klicks"])
def test_only_a_service_that_finds_something_in_the_parts_can_be_provisioned(name: str, tmp_path: Path) -> None:
    done = run("provision", "--only", f"flow,{name}", folder=tmp_path)
    assert done.returncode == 1
    assert f"there is no service {name}: choose from flow, " in done.stderr


@pytest.mark.parametrize("domain", ["http://shop.example/", "shop.example:8080", "", "shop example", "a..b"])
def test_what_is_no_host_is_refused_as_a_stores_domain(domain: str, tmp_path: Path) -> None:
    done = run("stores", "create", "shop", "--domain", domain, folder=tmp_path)
    assert done.returncode == 1
    assert f"domain {domain!r}: give a host alone, such as shop.example" in done.stderr


def test_a_port_that_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = run("up", "--kafka-port", "99999", folder=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_reported(tmp_path: Path) -> None:
    done = run("--version", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"marketplace {version('marketplace')}\n"


@pytest.mark.parametrize(
    ("option", "choices"),
    [("--grain", GRAINS), ("--dimension", [dimension.name for dimension in DIMENSIONS]), ("--bots", get_args(Bots))],
)
def test_the_help_of_report_names_every_choice(option: str, choices: Sequence[str]) -> None:
    command = get_command(make_app(["report"]))
    (parameter,) = [found for found in command.commands["report"].params if option in found.opts]  # type: ignore[attr-defined]  # a group, as Typer made it
    assert [choice for choice in choices if choice not in parameter.help] == []


def test_flows_are_listed_without_a_stack(tmp_path: Path) -> None:
    done = run("flows", "list", folder=tmp_path)
    assert done.returncode == 0
    assert "clicks.collected.v1" in done.stdout


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in getattr(group, "commands", {}).items():
        yield f"{path}{name}", command
        yield from commands(command, f"{path}{name} ")


COMMANDS = {name: command for name, command in commands(get_command(make_app())) if not hasattr(command, "commands")}


WITHOUT_A_STACK = {"flows list", "run", "health", "deploy secrets", "deploy mongo"}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_A_STACK])
def test_every_command_that_meets_a_stack_can_be_reported_which(name: str) -> None:
    (parameter,) = [found for found in COMMANDS[name].params if "--data" in found.opts]
    assert parameter.envvar == "MARKETPLACE_DATA"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_that_looks_like_markup_would_not_be_shown(name: str) -> None:
    assert [parameter.help for parameter in COMMANDS[name].params if "[" in (parameter.help or "")] == []


def test_no_value_of_an_option_is_refused_with_a_box_about_usage() -> None:
    of_click = [(name, found.name) for name, each in COMMANDS.items() for found in each.params if choices_of(found)]
    assert of_click == []


def choices_of(parameter: Any) -> bool:
    """Whether Typer itself knows the values of an option: those of an enumeration or a literal."""
    wanted = parameter.type_descriptor.annotation
    return get_origin(wanted) is Literal or (isinstance(wanted, type) and issubclass(wanted, Enum))
