"""How containers and units start a service of ours, and ask it how it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops import consumer_service
from ops.processes import health_of, health_port, process_of
from ops.stack.errors import StackError
from ops.stack.registry import REGISTRY
from runtime.admin import AdminServer, Answer
from runtime.settings import InvalidSettings, load
from saga_consumers.registry import consumer_named
from tests.kits.commands import run_command

ROOT = Path(__file__).resolve().parents[3]
URLS = {
    "MARKETPLACE_KAFKA_URL": "kafka:9092",
    "MARKETPLACE_MONGO_URL": "mongodb://mongo",
    "MARKETPLACE_CLICKHOUSE_URL": "http://clickhouse:8123",
    "MARKETPLACE_REDIS_URL": "redis://redis",
    "MARKETPLACE_CONNECT_URL": "http://connect:8083",
    "MARKETPLACE_PAYMENTS_URL": "http://payments:18700",
}
OURS = [service for service in REGISTRY.services if service.name != "proxy"]


@pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)
def test_every_service_of_ours_is_started_by_its_name_alone(service: object) -> None:
    name = getattr(service, "name")  # noqa: B009  # mypy knows no such attribute
    process = process_of(name, [], {**URLS, "PATH": "/bin"})
    spec = REGISTRY.service(name)

    assert process.command == [sys.executable, "-m", spec.module, *spec.arguments]
    assert process.environment.items() >= {"PATH": "/bin", **spec.environment}.items()


def test_a_service_listens_at_its_usual_port_unless_its_settings_say_otherwise() -> None:
    assert process_of("relay", [], URLS).environment["MARKETPLACE_RELAY_PORT"] == "19466"
    given = process_of("relay", [], {**URLS, "MARKETPLACE_RELAY_PORT": "1234"}).environment
    assert given["MARKETPLACE_RELAY_PORT"] == "1234"


def test_services_that_share_a_module_have_ports_of_their_own() -> None:
    ports = [process_of(name, [], URLS).environment["MARKETPLACE_FLOW_PORT"] for name in ("flow", "dead_letters")]
    assert ports == ["19464", "19465"]


def test_names_of_consumers_follow_the_service() -> None:
    assert process_of("consumers", ["orders", "payments"], URLS).command[-2:] == ["orders", "payments"]


def test_what_is_no_process_of_ours_is_not_started() -> None:
    with pytest.raises(StackError, match="proxy is nginx"):
        process_of("proxy", [], {})
    with pytest.raises(StackError, match="kafka is no service"):
        process_of("kafka", [], {})


def test_settings_that_a_service_would_refuse_are_refused_before_it_is_started() -> None:
    with pytest.raises(InvalidSettings, match="MARKETPLACE_API_PORT=x"):
        process_of("api", [], {"MARKETPLACE_API_PORT": "x"})


@pytest.mark.parametrize(
    ("name", "environment", "port"),
    [
        ("api", {}, 8001),
        ("api", {"MARKETPLACE_API_PORT": "9000"}, 9001),
        ("api", {"MARKETPLACE_API_PORT": "9000", "MARKETPLACE_API_ADMIN_PORT": "9500"}, 9500),
        ("collector", {}, 8701),
        ("flow", {}, 19464),
        ("dead_letters", {}, 19465),
        ("dead_letters", {"MARKETPLACE_FLOW_PORT": "7"}, 7),
        ("dashboard", {}, 8501),
        ("payments", {}, 18700),
    ],
)
def test_health_is_asked_where_the_settings_say(name: str, environment: dict[str, str], port: int) -> None:
    assert health_port(REGISTRY[name], environment) == port


@pytest.mark.parametrize("name", ["relay", "traffic"])
def test_a_free_port_cannot_be_guessed(name: str) -> None:
    with pytest.raises(StackError, match="give its --url"):
        health_port(REGISTRY[name], {"MARKETPLACE_RELAY_PORT": "0"})


def test_a_part_that_speaks_no_http_is_not_asked() -> None:
    with pytest.raises(StackError, match="kafka is no process of ours"):
        health_of("kafka", {}, 1.0)


def ask(port: int, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARKETPLACE_RELAY_PORT": str(port)}
    done = run_command("health", "relay", *arguments, cwd=Path.cwd(), env=environment)
    return done.returncode, done.stdout + done.stderr


def test_the_command_says_in_one_line_and_an_exit_code_whether_a_service_makes_progress() -> None:
    answers = {"/livez": Answer(200, b"ok\n"), "/readyz": Answer(503, b"no canary has arrived\n")}
    server = AdminServer("127.0.0.1", 0, lambda path: answers[path])
    port = int(server.url.rpartition(":")[2])
    try:
        not_ready = ask(port)
        answers["/readyz"] = Answer(200, b"ok\n")
        fine = ask(1, "--url", server.url)
    finally:
        server.end()

    assert not_ready == (1, "relay: not ready: no canary has arrived\n")
    assert fine == (0, "relay: fine\n")
    code, said = ask(port)
    assert (code, said.startswith("relay: no answer: "), said.count("\n")) == (1, True, 1)


def test_all_that_is_wrong_is_said_in_one_line_also_urls_and_what_is_missing() -> None:
    given = {
        "MARKETPLACE_LOG_FORMAT": "xml",
        "MARKETPLACE_KAFKA_URL": "kafka",
        "MARKETPLACE_MONGO_URL": "mongo-1:27017",
        "MARKETPLACE_CLICKHOUSE_URL": "ftp://x",
    }
    with pytest.raises(InvalidSettings) as raised:
        process_of("flow", [], given)
    assert [name for name in (*given, "MARKETPLACE_REDIS_URL") if name not in str(raised.value)] == []


def test_a_url_that_no_client_of_mongo_could_be_made_of_is_a_wrong_setting() -> None:
    urls = {"MARKETPLACE_KAFKA_URL": "kafka:9092", "MARKETPLACE_MONGO_URL": "mongodb://a:b@mongo:99999/"}
    with pytest.raises(InvalidSettings, match="MARKETPLACE_MONGO_URL: Mongo's URL cannot be used"):
        process_of("collector", [], urls)


def test_the_relay_is_not_started_without_kafka_connect() -> None:
    with pytest.raises(InvalidSettings, match="MARKETPLACE_CONNECT_URL"):
        process_of("relay", [], {**URLS, "MARKETPLACE_CONNECT_URL": ""})


def run(*arguments: str, **settings: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "run", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_supervisor_does_not_start_again_what_has_a_wrong_name_and_hears_of_a_misspelt_setting() -> None:
    code, said = run("nobody", MARKETPLACE_LOGLEVEL="secret", MARKETPLACE_LOG_LEVEL="info")
    first, second = said.splitlines()

    assert (code, first) == (2, "marketplace: nothing reads MARKETPLACE_LOGLEVEL, but MARKETPLACE_LOG_LEVEL")
    assert second.startswith("marketplace: there is no nobody: choose from ")
    assert "secret" not in said


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        (None, "No such file"),
        ("{}", "no file of a provider's secrets"),
        ('{"api_key": "", "webhook_secrets": []}', "empty"),
    ],
)
def test_consumers_that_cannot_pay_end_at_once(secrets: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "payments"
    if secrets is not None:
        file.write_text(secrets)
    with pytest.raises(InvalidSettings, match=f"MARKETPLACE_PAYMENTS_SECRETS_FILE: {file}: .*{said}"):
        load({**URLS, "MARKETPLACE_PAYMENTS_SECRETS_FILE": str(file)}, consumer_service.read)
    other = {**URLS, "MARKETPLACE_PAYMENTS_SECRETS_FILE": str(file)}
    assert load(other, lambda env: consumer_service.read(env, [consumer_named("orders")]))[-1] is None


def test_a_provider_that_there_is_not_is_refused_before_the_consumers_start() -> None:
    with pytest.raises(InvalidSettings, match="MARKETPLACE_PAYMENTS_PROVIDER=stripe: give sandbox"):
        process_of("consumers", [], {**URLS, "MARKETPLACE_PAYMENTS_PROVIDER": "stripe"})


def test_a_name_that_there_is_not_gets_those_that_can_be_run() -> None:
    with pytest.raises(StackError) as raised:
        process_of("dead-letters", [], {})
    assert "dead_letters" in str(raised.value)
    assert "kafka" not in str(raised.value)
