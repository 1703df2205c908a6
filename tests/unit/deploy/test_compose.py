"""compose.yml and what it mounts, read by the tools that would run it, and compared with the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.kafka.client_config import KafkaSecurity
from connectors.mongo.replica_set import REPLICA_SET
from ops.deploy.secrets import make_secrets
from ops.stack.parts.connect import worker_settings
from ops.stack.registry import REGISTRY
from tests.kits.compose import (
    CORE,
    FILE,
    ROOT,
    Deployment,
    closed_scratch,
    lacking_settings,
    limits,
    listening,
    loose_containers,
    loose_images,
    plain_secrets,
    problems,
    read_compose,
    refused_settings,
    unknown_variables,
    without,
    wrong_builds,
    wrong_health,
    wrong_order,
    wrong_ports,
    wrong_secrets,
    wrong_volumes,
)
from tests.kits.depth import LONG
from tests.kits.proxy import nginx_program

BIN = Path(sys.executable).parent
SCRIPTS = sorted([*ROOT.glob("deploy/*/start.sh"), *ROOT.glob("deploy/compose/*/start.sh")])
LOADER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
DOCKERFILES = (ROOT / "Dockerfile", ROOT / "deploy" / "connect" / "Dockerfile")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(folder, "localhost")
    return folder


@pytest.fixture(scope="module")
def whole() -> Deployment:
    return read_compose()


def said(*command: str | Path, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


# --- The tools that would run it ---


def test_compose_takes_the_files_by_its_own_schema() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    code, text = said(BIN / "check-jsonschema", *schema, FILE, CORE)
    assert (code, text.strip()) == (0, "ok -- validation done")


def test_the_schema_refuses_a_key_that_compose_does_not_know(tmp_path: Path) -> None:
    broken = tmp_path / "compose.yml"
    broken.write_text(FILE.read_text().replace("    stop_signal: SIGQUIT", "    stop_signul: SIGQUIT"))
    code, text = said(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", broken)
    assert code == 1
    assert "stop_signul" in text


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What compose itself reads its files with, as a program; built once, which takes minutes."""
    if shutil.which("go") is None:
        pytest.skip("no Go here")
    folder = tmp_path_factory.mktemp("go")
    built = subprocess.run(
        ["go", "install", LOADER],
        env={**os.environ, "GOBIN": str(folder)},
        capture_output=True,
        timeout=900,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"{LOADER} cannot be built here: {built.stderr.decode()[-300:]}")
    return folder / "cmd"


@LONG
@pytest.mark.timeout(1_000)
def test_composes_own_loader_takes_the_files_and_refuses_a_fault(loader: Path) -> None:
    for files in ((FILE,), (FILE, CORE)):
        code, text = said(loader, *files)
        assert code == 0, text[-2_000:]
    # Beside the other one: paths in it are relative to its folder.
    broken = FILE.with_name(".compose-with-a-fault.yml")
    broken.write_text(FILE.read_text().replace("${PUBLIC_HOST:-}", "${PUBLIC_HOST"))
    try:
        code, text = said(loader, broken)
    finally:
        broken.unlink()
    assert code != 0
    assert "PUBLIC_HOST" in text


def test_shellcheck_has_nothing_to_say_of_the_scripts() -> None:
    assert len(SCRIPTS) == 5
    assert said(BIN / "shellcheck", *SCRIPTS) == (0, "")


def test_hadolint_has_nothing_to_say_of_the_dockerfiles() -> None:
    assert said(BIN / "hadolint", *DOCKERFILES) == (0, "")


def nginx_says(folder: Path, secrets: Path, **variables: str) -> tuple[int, str]:
    """What nginx says of what compose mounts, put together by the script that starts it."""
    source = folder / "source"
    (source / "values").mkdir(parents=True)
    (source / "nginx.conf").write_text((ROOT / "deploy/nginx/nginx.conf").read_text())
    for file in (ROOT / "deploy/compose/nginx/values").iterdir():
        text = file.read_text().replace("/run/secrets", str(secrets)).replace("/tmp/nginx", str(folder / "nginx"))
        # Names of containers are known where they run.
        (source / "values" / file.name).write_text(re.sub(r"server [a-z]+:", "server 127.0.0.1:", text))
    places = {"NGINX_SOURCE": str(source), "NGINX_FOLDER": str(folder / "nginx"), "NGINX_PROGRAM": nginx_program()}
    return said("/bin/sh", ROOT / "deploy/compose/nginx/start.sh", "-t", **places, **variables)


def test_nginx_takes_what_is_mounted(secrets: Path, tmp_path: Path) -> None:
    code, text = nginx_says(tmp_path, secrets)
    assert (code, "test is successful" in text) == (0, True), text


def test_nginx_takes_the_names_and_urls_of_a_host(secrets: Path, tmp_path: Path) -> None:
    given = {"PUBLIC_HOST": "shop.example", "PUBLIC_URL": "https://shop.example", "HSTS_SECONDS": "300"}
    code, text = nginx_says(tmp_path, secrets, **given)
    written = (tmp_path / "nginx/values/http.conf").read_text()

    assert code == 0, text
    assert "shop.example 1;" in written
    assert "default https://shop.example;" in written
    assert 'default "max-age=300";' in written


# --- One truth with the code ---


def test_nothing_is_wrong_with_the_default_and_the_small_deployment(whole: Deployment, secrets: Path) -> None:
    assert problems(whole, secrets) == []
    assert problems(read_compose(FILE, CORE), secrets) == []


def test_settings_of_a_host_are_taken_by_every_process(secrets: Path) -> None:
    given = {"PUBLIC_HOST": "shop.example", "PUBLIC_URL": "https://shop.example", "FRONT_NET": "10.9.8"}
    host = read_compose(given=given)
    assert list(refused_settings(host, secrets)) == []
    assert host.environment("api")["MARKETPLACE_API_TRUSTED_PROXIES"] == "10.9.8.2,10.9.8.12"


def test_a_name_and_a_port_make_the_public_url_of_all_who_need_it() -> None:
    host = read_compose(given={"PUBLIC_HOST": "shop.example", "HTTPS_PORT": "444"})
    urls = {text for name in host.services for key, text in host.environment(name).items() if "PUBLIC_URL" in key}
    assert urls == {"https://shop.example:444"}


def test_the_worker_of_connect_has_the_settings_of_the_embedded_one() -> None:
    text = (ROOT / "deploy/connect/worker.properties").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    deployed = dict(line.replace("\\\\", "\\").split("=", 1) for line in lines)
    security = KafkaSecurity("SASL_PLAINTEXT", "SCRAM-SHA-512", "marketplace", "unused")
    embedded = worker_settings(8083, "kafka-1:9092,kafka-2:9092,kafka-3:9092", None, security)
    elsewhere = {"listeners": "http://:8083", "rest.advertised.host.name": "connect"}
    assert deployed == {**{name: str(value) for name, value in embedded.items()}, **elsewhere}


def test_urls_in_secrets_lead_to_where_the_parts_listen(whole: Deployment, secrets: Path) -> None:
    known = listening(whole)
    places = [
        (host, int(port))
        for name in ("mongo_url", "clickhouse_url", "redis_url")
        for host, port in re.findall(r"(?:@|,)([a-z0-9-]+):(\d+)", (secrets / name).read_text())
    ]
    assert len(places) == 5
    assert [(host, port) for host, port in places if port not in known[host]] == []


def test_members_of_the_replica_set_have_the_name_that_the_product_looks_for() -> None:
    assert f"--replSet {REPLICA_SET} " in (ROOT / "deploy/mongo/start.sh").read_text()


def test_every_process_of_ours_runs_in_the_default_deployment_and_traffic_with_the_demo(whole: Deployment) -> None:
    def run(deployment: Deployment) -> set[str]:
        return {deployment.runs(name) for name in deployment.ours} - {""}

    usual = {"payments", *(each.name for each in REGISTRY.services if not (each.on_demand or each.on_request))}
    assert run(without(whole)) == usual
    assert run(without(whole, "demo")) == {*usual, "traffic"}


def test_the_small_deployment_has_one_broker_and_one_member() -> None:
    small = without(read_compose(FILE, CORE))
    assert [name for name in small.services if re.match(r"(kafka|mongo)-\d", name)] == ["kafka-1", "mongo-1"]
    assert small.environment("kafka-1")["KAFKA_REPLICAS"] == "1"


def test_the_small_deployment_is_chosen_once_for_every_command_and_never_by_one() -> None:
    # A later command without the choice would give one broker the voters of three.
    chosen = f"COMPOSE_FILE={FILE.relative_to(ROOT)}:{CORE.relative_to(ROOT)}"
    page = ROOT / "docs/how-to/deploy.md"
    assert [file.name for file in (FILE, CORE, page) if chosen not in file.read_text()] == []
    said_of_it = [FILE, CORE, ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    assert [file for file in said_of_it if re.search(r"compose .*(--file|-f) ", file.read_text())] == []


def test_redis_refuses_writes_before_its_container_is_full(whole: Deployment) -> None:
    # A rewrite of its file takes up to as much again.
    (most,) = re.findall(r"^maxmemory (\d+)mb$", (ROOT / "deploy/redis/redis.conf").read_text(), re.M)
    limit = whole.services["redis"]["deploy"]["resources"]["limits"]["memory"]
    assert 2 * int(most) <= int(limit.removesuffix("M"))


def test_the_page_about_deploying_says_what_all_limits_come_to(whole: Deployment) -> None:
    page = (ROOT / "docs/how-to/deploy.md").read_text()
    for deployment in (without(whole), without(read_compose(FILE, CORE)), without(whole, "demo")):
        cpus, megabytes = limits(deployment)
        assert f"{cpus:g} CPUs, {megabytes / 1024:.1f} GiB" in page


def test_the_page_about_deploying_names_every_variable_of_a_host() -> None:
    named = set(re.findall(r"\$\{(\w+)", FILE.read_text())) - {"MARKETPLACE_DATABASE"}
    page = (ROOT / "docs/how-to/deploy.md").read_text()
    assert [name for name in sorted(named) if f"`{name}`" not in page] == []


# --- A fault in it is found ---


def planted(*path: str, value: Any = None) -> Callable[[dict[str, Any]], None]:
    """Put a value at a place of the document; None removes it."""

    def plant(document: dict[str, Any]) -> None:
        *before, last = path
        for key in before:
            document = document[key]
        if value is None:
            del document[last]
        else:
            document[last] = value

    return plant


API = ("services", "api")
FAULTS: dict[str, tuple[Callable[[Deployment], Iterator[str]], Callable[[dict[str, Any]], None], str]] = {
    "a wrong port in a URL": (
        wrong_ports,
        planted("services", "relay", "environment", "MARKETPLACE_CONNECT_URL", value="http://connect:8084"),
        "relay: MARKETPLACE_CONNECT_URL: connect does not listen at 8084",
    ),
    "a wrong port that is published": (
        wrong_ports,
        planted("services", "proxy", "ports", value=["127.0.0.1:8443:443"]),
        "proxy: it publishes 127.0.0.1:8443:443, and does not listen there",
    ),
    "a wrong port by address": (
        wrong_ports,
        planted(
            "services", "dashboard", "environment", "MARKETPLACE_DASHBOARD_API_URL", value="http://172.30.250.10:8001"
        ),
        "dashboard: MARKETPLACE_DASHBOARD_API_URL: api does not listen at 8001",
    ),
    "a variable misspelt": (
        unknown_variables,
        planted(*API, "environment", "MARKETPLACE_API_TRUSTED_PROXYS", value="172.30.250.2"),
        "api: nothing reads MARKETPLACE_API_TRUSTED_PROXYS",
    ),
    "a missing volume": (
        wrong_volumes,
        planted(*API, "volumes"),
        "api: what it writes into /data is on no volume",
    ),
    "a volume that is not declared": (
        wrong_volumes,
        planted("volumes", "redis"),
        "redis: the volume redis is not declared",
    ),
    "a mounted file that is not there": (
        wrong_volumes,
        planted("services", "redis", "volumes", value=["./deploy/redos:/etc/marketplace:ro", "redis:/data"]),
        "redis: there is no ./deploy/redos",
    ),
    "a probe on a path that is not there": (
        wrong_health,
        planted("services", "proxy", "healthcheck", "test", value=["CMD", "wget", "http://127.0.0.1:8081/healthy"]),
        "proxy: there is no page /healthy at port 8081",
    ),
    "a probe of another service": (
        wrong_health,
        planted(*API, "healthcheck", "test", value=["CMD", "marketplace", "health", "collector"]),
        "api: its health is not asked by `marketplace health api`",
    ),
    "a secret in plain": (
        plain_secrets,
        planted(*API, "environment", "MARKETPLACE_MAIL_SMTP_PASSWORD", value="hunter2"),
        "api: MARKETPLACE_MAIL_SMTP_PASSWORD has a secret in plain",
    ),
    "a password in a URL": (
        plain_secrets,
        planted(*API, "environment", "MARKETPLACE_MONGO_URL", value="mongodb://marketplace:hunter2@mongo-1:27017"),
        "api: MARKETPLACE_MONGO_URL: a URL has a password in it",
    ),
    "a secret that is read and not given": (
        wrong_secrets,
        planted(*API, "secrets", value=["mongo_url", "clickhouse_url", "payments"]),
        "api: it reads redis_url, and is not given it",
    ),
    "a secret that nobody makes": (
        wrong_secrets,
        planted("secrets", "session_key", value={"file": "./deploy/compose/secrets/session_key"}),
        "session_key: `marketplace deploy secrets` makes no such file",
    ),
    "an image of any version": (
        loose_images,
        planted("services", "redis", "image", value="valkey/valkey:latest"),
        "redis: valkey/valkey:latest is no exact version",
    ),
    "an image that two services build": (
        wrong_builds,
        planted(*API, "build", value={"context": "."}),
        "marketplace:0.1.0: mongo-setup, api build it",
    ),
    "an image that nobody builds": (
        wrong_builds,
        planted("services", "connect", "build"),
        "marketplace-connect:0.1.0: nobody builds it",
    ),
    "a storefront that takes no cards": (
        lacking_settings,
        planted(*API, "environment", "MARKETPLACE_PAYMENTS_URL"),
        "api: it is not given MARKETPLACE_PAYMENTS_URL",
    ),
    "visits that go nowhere": (
        lacking_settings,
        planted("services", "demo-traffic", "environment", "MARKETPLACE_TRAFFIC_COLLECTOR", value=""),
        "demo-traffic: it is not given MARKETPLACE_TRAFFIC_COLLECTOR",
    ),
    "a broker that cannot load its codecs": (
        closed_scratch,
        planted("services", "kafka-2", "tmpfs", value=["/tmp:size=64m,mode=1777"]),
        "kafka-2: nothing in its /tmp can be executed",
    ),
    "a dependency that is not there": (
        wrong_order,
        planted(*API, "depends_on", "provisioning", value={"condition": "service_completed_successfully"}),
        "api: it waits for provisioning, which is not there",
    ),
    "waiting for a job to be healthy": (
        wrong_order,
        planted(*API, "depends_on", "provision", "condition", value="service_healthy"),
        "api: it waits for provision to be service_healthy",
    ),
    "a process that is root": (
        loose_containers,
        planted(*API, "user"),
        "api: it runs as no user with a number, or as root",
    ),
    "a process without limits": (loose_containers, planted(*API, "deploy"), "api: it has no limits"),
    "a root file system that can be written": (
        loose_containers,
        planted(*API, "read_only"),
        "api: its root file system can be written",
    ),
    "a database that everybody reaches": (
        loose_containers,
        planted("services", "redis", "ports", value=["6379:6379"]),
        "redis: it publishes 6379:6379 to everybody",
    ),
    "a kill before a process has finished": (
        loose_containers,
        planted(*API, "stop_grace_period", value="5s"),
        "api: it is killed before it has finished",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, whole: Deployment) -> None:
    check, plant, found = FAULTS[fault]
    document = deepcopy(whole.document)
    plant(document)
    assert found in list(check(Deployment(document)))


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("collector", "MARKETPLACE_KAFKA_URL"),
        ("collector", "MARKETPLACE_KAFKA_SASL_PASSWORD_FILE"),
        ("api", "MARKETPLACE_REDIS_URL_FILE"),
        ("dashboard", "MARKETPLACE_MONGO_URL_FILE"),
        ("flow", "MARKETPLACE_CLICKHOUSE_URL_FILE"),
        ("relay", "MARKETPLACE_CONNECT_URL"),
        ("consumers", "MARKETPLACE_PAYMENTS_URL"),
        ("provision", "MARKETPLACE_CLICKHOUSE_URL_FILE"),
    ],
)
def test_a_setting_that_a_process_requires_and_lacks_is_found(
    service: str, variable: str, whole: Deployment, secrets: Path
) -> None:
    document = deepcopy(whole.document)
    del document["services"][service]["environment"][variable]
    found = list(refused_settings(Deployment(document), secrets))
    assert [line.partition(":")[0] for line in found] == [service]


def test_no_name_is_there_twice_in_a_mapping() -> None:
    # PyYAML takes the last one of two, and compose none.
    for file in (FILE, CORE):
        assert list(repeated(yaml.compose(file.read_text()))) == []


def repeated(node: yaml.Node | None) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        yield from (f"{key} at line {node.start_mark.line + 1}" for key in set(keys) if keys.count(key) > 1)
        for _, value in node.value:
            yield from repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from repeated(value)
