"""The parts of compose.yml and the files of deploy/: they agree with each other, and a fault in them is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.kits import compose, compose_parts, deployed_files
from tests.kits.compose import CORE, FILE, ROOT, Deployment, read_compose
from tests.kits.compose_parts import (
    lost_files,
    problems_of_parts,
    too_much_memory,
    unread_variables,
    wrong_commands,
    wrong_programs,
    wrong_quorum,
    wrong_set,
    wrong_users,
)
from tests.kits.compose_ways import missing_order, shared_volumes, wrong_ends, wrong_hosts, wrong_networks
from tests.kits.deployed_files import (
    problems_of_files,
    wrong_clickhouse,
    wrong_connect,
    wrong_image,
    wrong_kafka,
    wrong_redis,
    wrong_versions,
)

Check = Callable[[Deployment], Iterator[str]]


@pytest.fixture(scope="module")
def whole() -> Deployment:
    return read_compose()


@pytest.mark.parametrize("files", [(FILE,), (FILE, CORE)], ids=["default", "small"])
def test_nothing_is_wrong_between_the_parts(files: tuple[Path, ...]) -> None:
    assert problems_of_parts(read_compose(*files)) == []


def test_nothing_is_wrong_between_the_parts_of_a_host_with_a_network_of_its_own() -> None:
    assert problems_of_parts(read_compose(given={"FRONT_NET": "10.9.8", "PUBLIC_HOST": "shop.example"})) == []


def test_nothing_is_wrong_in_the_files_of_parts_and_images() -> None:
    assert problems_of_files() == []


Fault = tuple[Check, str, str, object, str]
FAULTS: tuple[Fault, ...] = (
    (wrong_quorum, "kafka-2", "environment.KAFKA_NODE", "3", "kafka-2: KAFKA_NODE is not 2"),
    (wrong_quorum, "kafka-2", "environment.KAFKA_HOST", "kafka-1", "kafka-2: KAFKA_HOST is not kafka-2"),
    (wrong_quorum, "kafka-3", "environment.KAFKA_IN_SYNC", "3", "kafka-3: KAFKA_IN_SYNC is not 2"),
    (wrong_quorum, "flow", "environment.MARKETPLACE_KAFKA_SASL_USERNAME", "market", "flow: market has no password in"),
    (
        wrong_quorum,
        "relay",
        "environment.MARKETPLACE_KAFKA_SECURITY_PROTOCOL",
        "SASL_SSL",
        "brokers speak SASL_PLAINTEXT",
    ),
    (wrong_set, "mongo-1", "environment.MONGO_INITDB_ROOT_USERNAME", "admin", "mongo-1: its administrator is not root"),
    (wrong_set, "mongo-2", "volumes", ["mongo-2:/data/dbs"], "mongo-2: its data are on no volumes of its own"),
    (
        wrong_set,
        "mongo-2",
        "healthcheck.test",
        ["CMD", "mongosh", "--eval", "quit(db.hello().ok ? 0 : 1)"],
        "says that it is well",
    ),
    (
        lost_files,
        "kafka-1",
        "entrypoint",
        ["/bin/sh", "/etc/marketplace/run.sh"],
        "nothing puts /etc/marketplace/run.sh there",
    ),
    (
        lost_files,
        "clickhouse",
        "secrets",
        [{"source": "clickhouse_users", "target": "/etc/x.xml"}],
        "clickhouse_users is not read from",
    ),
    (
        unread_variables,
        "clickhouse",
        "environment.CLICKHOUSE_SKIP_USER",
        "1",
        "clickhouse: nothing reads CLICKHOUSE_SKIP_USER",
    ),
    (unread_variables, "kafka-1", "environment.KAFKA_VOTERS", None, "kafka-1: it is not given KAFKA_VOTERS"),
    (wrong_users, "redis", "user", "998:998", "redis: its image is for the user 999:999"),
    (
        wrong_programs,
        "proxy",
        "healthcheck.test",
        ["CMD", "curl", "http://127.0.0.1:8081/readyz"],
        "proxy: its image has no curl",
    ),
    (wrong_commands, "mongo-setup", "command", ["deploy", "mongo", "--passwordfile=x"], "mongo-setup: "),
    (wrong_commands, "payments", "command", ["--data=/data", "--keys=x"], "payments: the sandbox does not take"),
    (too_much_memory, "kafka-1", "environment.KAFKA_HEAP_OPTS", "-Xmx2g", "its heap leaves too little of 1024 MB"),
    (too_much_memory, "mongo-1", "environment.MONGO_CACHE_GB", "2", "its cache leaves too little of 1024 MB"),
    (wrong_networks, "dashboard", "networks.front.ipv4_address", "172.30.250.10", "two containers have one address"),
    (
        wrong_networks,
        "api",
        "networks.front.ipv4_address",
        "172.30.250.200",
        "is outside of the front network, or given",
    ),
    (wrong_networks, "connect", "networks", ["front"], "connect: it has no network with kafka-1"),
    (wrong_networks, "consumers", "networks", ["back"], "consumers: a provider elsewhere is out of its reach"),
    (
        wrong_hosts,
        "collector",
        "environment.MARKETPLACE_COLLECTOR_HOST",
        "127.0.0.1",
        "collector: it listens for nobody else",
    ),
    (wrong_hosts, "collector", "environment.MARKETPLACE_COLLECTOR_TRUSTED_PROXIES", "172.30.250.3", "and not proxy"),
    (
        wrong_hosts,
        "api",
        "environment.MARKETPLACE_PAYMENTS_URL",
        "http://payment:18700",
        "api: there is no payment at 18700",
    ),
    (wrong_hosts, "api", "environment.MARKETPLACE_MAIL_SMTP_PORT", "25", "api: nobody takes mails at mail:25"),
    (
        wrong_hosts,
        "payments",
        "command",
        ["--host=0.0.0.0", "--webhook-url=http://api:8000/v1/webhook"],
        "the API has no",
    ),
    (missing_order, "api", "depends_on", {}, "api: it does not wait for provision"),
    (missing_order, "provision", "depends_on.clickhouse", None, "provision: it does not wait for clickhouse"),
    (wrong_ends, "proxy", "stop_signal", "SIGKILL", "proxy: SIGKILL does not let it end"),
    (wrong_ends, "proxy", "stop_grace_period", "20s", "proxy: it is killed before requests have ended"),
    (wrong_ends, "redis", "restart", "no", "redis: no is not how it is started again"),
    (wrong_ends, "api", "tmpfs", ["/temp:size=1m"], "api: it can write nowhere"),
    (shared_volumes, "api", "volumes", ["payments:/data"], "payments: payments, api write it"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[1]}-{fault[2]}-{fault[0].__name__}")
def test_a_fault_between_the_parts_is_found(fault: Fault, whole: Deployment) -> None:
    check, service, path, value, said = fault
    document = deepcopy(whole.document)
    *before, last = path.split(".")
    place: dict[str, Any] = compose_parts.changed(document, "services", service, *before)
    if value is None:
        del place[last]
    else:
        place[last] = value
    found = list(check(Deployment(document)))
    assert [line for line in found if said in line], found


FileFault = tuple[Callable[[], Iterator[str]], str, str, str, str]
FILES: tuple[FileFault, ...] = (
    (
        wrong_kafka,
        "deploy/kafka/server.properties",
        "min.insync.replicas",
        "min.insync.replica",
        "server.properties: min.insync.replica is",
    ),
    (
        wrong_kafka,
        "deploy/kafka/server.properties",
        "user_broker=",
        "user_brokers=",
        "server.properties: listener.name.controller",
    ),
    (
        wrong_kafka,
        "deploy/kafka/client.properties",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "client.properties: sasl.mechanism is SCRAM-SHA-256",
    ),
    (wrong_kafka, "deploy/kafka/start.sh", "--ignore-formatted ", "", "a broker does not start a second time"),
    (
        wrong_connect,
        "deploy/connect/start.sh",
        "/opt/connect/jars",
        "/opt/connect/lib",
        "and read from /opt/connect/lib",
    ),
    (
        wrong_connect,
        "deploy/connect/start.sh",
        "export MARKETPLACE_MONGO_URL ",
        "export ",
        "connectors read MARKETPLACE_DATABASE",
    ),
    (
        wrong_clickhouse,
        "deploy/clickhouse/users.xml",
        ' replace="replace"',
        "",
        "others than its own container are let in",
    ),
    (
        wrong_clickhouse,
        "deploy/clickhouse/config.xml",
        '<trace_log remove="remove"/>',
        "",
        "config.xml: trace_log grows without end",
    ),
    (
        wrong_redis,
        "deploy/redis/redis.conf",
        "appendonly yes",
        "appendonly no",
        "redis.conf: appendonly is no, and not yes",
    ),
    (wrong_redis, "deploy/redis/start.sh", "requirepass", "requirepas", "deploy/redis/start.sh: everybody is let in"),
    (wrong_image, "Dockerfile", "useradd --uid 10001", "useradd --uid 10002", "and its volumes are of 10001:10001"),
    (
        wrong_image,
        "Dockerfile",
        "MARKETPLACE_LOG_FORMAT=json",
        "MARKETPLACE_LOG_FORMAT=jsn",
        "there is no such format of logs",
    ),
    (wrong_versions, "Dockerfile", "ARG VERSION=0.1.0", "ARG VERSION=0.2.0", "Dockerfile: it is not of version"),
    (wrong_versions, "compose.yml", "apache/kafka:4.3.0", "apache/kafka:4.0.0", "brokers are not of version"),
)


@pytest.mark.parametrize("fault", FILES, ids=lambda fault: f"{fault[1]}-{fault[2]}")
def test_a_fault_in_a_file_is_found(fault: FileFault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check, path, old, new, said = fault
    for name in ("deploy", "Dockerfile", "compose.yml", "pyproject.toml", "ops", "helm"):
        (tmp_path / name).symlink_to(ROOT / name)
    text = (ROOT / path).read_text()
    assert old in text
    top = Path(path).parts[0]
    (tmp_path / top).unlink()
    for place in _beside(ROOT / top):
        copy = tmp_path / place.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(place.read_bytes())
    (tmp_path / path).write_text(text.replace(old, new, 1))
    for module in (compose, compose_parts, deployed_files):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(compose, "FILE", tmp_path / "compose.yml")
    found = list(check())
    assert [line for line in found if said in line], found


def _beside(place: Path) -> list[Path]:
    return [place] if place.is_file() else [each for each in place.rglob("*") if each.is_file()]
