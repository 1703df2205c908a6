"""An entry of the registry is all that a part or a service needs: everything that is said about it follows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from connectors.debezium.declared import CONNECTORS
from marketplace.collections import COLLECTIONS
from marketplace.settings import Urls
from marketplace.tables import TABLES
from marketplace.topics import TOPICS
from ops.commands.stack import register
from ops.reference import services as services_reference
from ops.stack.components import Launch
from ops.stack.errors import StackError
from ops.stack.port_choice import choose_ports
from ops.stack.process_spec import ProcessSpec
from ops.stack.registry import REGISTRY, Registry
from ops.stack.supervisor.job import Job
from runtime.settings import InvalidSettings
from tests.kits.registry import KNOWN, WITH_ECHOES, echo

ECHO, SECOND = WITH_ECHOES.service("echo"), WITH_ECHOES.service("second_echo")
URLS = Urls(redis="redis://127.0.0.1:1/0")


def options_of_up(registry: Registry) -> dict[str, Any]:
    app = typer.Typer()
    register(app, registry)
    command = get_command(app).commands["up"]  # type: ignore[attr-defined]  # a group, as Typer made it
    return {option: parameter for parameter in command.params for option in parameter.opts}


def process(name: str, **variables: str) -> ProcessSpec:
    ports: dict[str, int] = {}
    for port in (port for service in WITH_ECHOES.services for port in service.ports(1)):
        # The usual ones, whoever else listens on this machine.
        ports[port.name] = ports[port.after] + port.distance if port.after else port.default or 0
    return WITH_ECHOES.service(name).process(Launch(Path("data"), ports, 1, URLS, variables))


def test_the_reference_page_is_what_the_registry_says() -> None:
    assert services_reference.TARGET.read_text() == services_reference.reference(), "run 'make reference'"
    assert "| second_echo | echo of second_echo | 18902 (`MARKETPLACE_SECOND_ECHO_PORT`) | redis |" in (
        services_reference.reference(WITH_ECHOES)
    )


def test_up_has_a_port_option_for_each_entry_and_names_it_in_the_help_of_only() -> None:
    options = options_of_up(WITH_ECHOES)
    assert [f"{name}" for name in WITH_ECHOES.startable if WITH_ECHOES[name].port_option not in options] == []
    assert options["--second-echo-port"].envvar == "MARKETPLACE_SECOND_ECHO_PORT"
    assert "dashboard, echo, second_echo" in options["--only"].help
    assert "echo of echo and echo of second_echo" in options["--services"].help
    assert "--traffic-port" not in options


def test_services_of_one_module_differ_in_name_arguments_and_port() -> None:
    first, second = process("echo"), process("second_echo")
    assert first.command == [sys.executable, "-m", "tests.kits.echo_service", "echo"]
    assert second.command == [sys.executable, "-m", "tests.kits.echo_service", "second_echo"]
    assert (first.url, second.url) == ("http://127.0.0.1:18901", "http://127.0.0.1:18902")
    assert (first.environment["ECHO_PORT"], second.environment["ECHO_PORT"]) == ("18901", "18902")
    assert first.environment["MARKETPLACE_REDIS_URL"] == URLS.redis


def test_a_service_with_an_admin_port_is_asked_there_and_reads_it_from_its_variable() -> None:
    collector = process("collector")
    assert (collector.url, collector.check_url) == ("http://127.0.0.1:8700", "http://127.0.0.1:8701")
    assert collector.environment["MARKETPLACE_COLLECTOR_ADMIN_PORT"] == "8701"


def test_every_service_knows_where_the_others_listen() -> None:
    settings = WITH_ECHOES.port_settings({"echo": 1, "collector": 2, "collector-admin": 3, "redis": 4})
    assert settings == {
        "MARKETPLACE_ECHO_PORT": "1",
        "MARKETPLACE_COLLECTOR_PORT": "2",
        "MARKETPLACE_COLLECTOR_ADMIN_PORT": "3",
    }


def test_what_the_supervisor_reads_is_what_was_written() -> None:
    job = Job("data", 1, {"echo": 1}, URLS, [process("echo"), process("flow")], [], 90.0, left_out=["kafka"])
    assert Job.from_json(job.to_json()) == job


def test_two_entries_of_one_name_are_no_registry() -> None:
    with pytest.raises(ValueError, match="twice"):
        Registry((*REGISTRY, echo("redis", 1)))


def test_a_need_that_is_not_there_is_no_registry() -> None:
    with pytest.raises(ValueError, match=r"\('echo', 'redis'\)"):
        Registry((echo("echo", 1),))


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(StackError, match="there is no reddis: choose from kafka, mongo, clickhouse, redis, flow"):
        KNOWN.chosen({"reddis"})


def test_no_two_entries_have_a_usual_port_in_common() -> None:
    usual = choose_ports([each for each in REGISTRY if not each.on_demand], "default", 3, {})
    public = [port for name, port in usual.items() if not name.endswith("-controller")]
    assert len(set(public)) == len(public)


def test_a_service_stops_before_whatever_it_needs() -> None:
    pairs = [(each, REGISTRY[need]) for each in REGISTRY for need in each.needs]
    assert [(each.name, need.name) for each, need in pairs if each.stop_rank >= need.stop_rank] == []


def test_a_service_finds_only_declared_things_in_parts_that_it_needs() -> None:
    for service in REGISTRY.services:
        assert set(service.resources.parts) <= set(service.needs), service.name
    made = REGISTRY.resources(REGISTRY.startable)
    assert set(made.tables) == set(TABLES)
    assert {each.name for each in made.collections} == {each.name for each in COLLECTIONS}
    assert {each.name for each in made.topics} == {each.name for each in TOPICS}
    assert made.connectors == CONNECTORS


def test_a_setting_is_refused_only_for_a_service_that_is_to_run() -> None:
    wrong = {"MARKETPLACE_COLLECTOR_MAX_CONNECTIONS": "many"}
    REGISTRY.check_settings(["kafka", "flow"], wrong)
    with pytest.raises(InvalidSettings, match="MARKETPLACE_COLLECTOR_MAX_CONNECTIONS"):
        REGISTRY.check_settings(["kafka", "collector"], wrong)
