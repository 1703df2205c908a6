"""What compose mounts into the parts, read by the parts themselves as far as they are here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Refused, Unavailable
from connectors.kafka.authentication import AuthenticationFailed
from connectors.kafka.client_config import KafkaConnection, KafkaSecurity
from connectors.kafka.topics import TopicAdmin
from connectors.mongo.replica_set import ReplicaSetAdmin, configuration, user_roles
from ops.deploy.secrets import make_secrets
from ops.stack import Stack, StackError
from ops.stack.parts.kafka_jars import KAFKA_JARS, ensure_jars, find_java
from ops.stack.parts.redis import redis_program
from ops.stack.ports import HOST
from runtime.ports import free_ports
from tests.kits.compose import ROOT, read_compose
from tests.kits.depth import LONG
from tests.kits.processes import wait_until

DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(folder, "localhost")
    return folder


@contextmanager
def running(script: Path, folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A part, started by the script that compose starts."""
    with (folder / "part.log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", str(script)],
            env={**os.environ, **variables},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                # As compose does. A broker that lost the majority of its controllers waits for it for minutes.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


# --- Redis ---


def test_redis_starts_by_its_script_and_lets_in_who_knows_the_password(secrets: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = (DEPLOY / "redis/redis.conf").read_text().replace("dir /data", f"dir {tmp_path}")
    (tmp_path / "redis.conf").write_text(config.replace("port 6379", f"port {port}"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "valkey-server").symlink_to(redis_program())
    places = {"REDIS_CONFIG": str(tmp_path / "redis.conf"), "REDIS_SECRETS": str(secrets)}
    password = (secrets / "redis_password").read_text()

    with running(DEPLOY / "redis/start.sh", tmp_path, PATH=f"{programs}:{os.environ['PATH']}", **places) as process:
        with redis.Redis(host=HOST, port=port, password=password, decode_responses=True) as client:
            wait_until(lambda: answers(client), 15, (tmp_path / "part.log").read_text())
            assert client.config_get("appendonly") == {"appendonly": "yes"}
        with redis.Redis(host=HOST, port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        assert password not in shown


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


# --- ClickHouse ---


def names_of(element: ET.Element) -> set[str]:
    return {child.tag for child in element}


def test_every_setting_for_clickhouse_is_one_that_its_engine_knows(stack: Stack, secrets: Path) -> None:
    config = ET.parse(DEPLOY / "clickhouse/config.xml").getroot()
    users = [
        ET.parse(DEPLOY / "clickhouse/users.xml").getroot(),
        ET.fromstring((secrets / "clickhouse_users").read_text()),
    ]
    clickhouse = ClickHouse(stack.urls.clickhouse, "default")
    try:
        known = {str(name) for (name,) in clickhouse.rows("SELECT name FROM system.server_settings", {})}
    finally:
        clickhouse.close()
    # Sections of the server's own configuration, which its table of settings does not list.
    # That of backups is tried in tests/unit/deploy/test_clickhouse_backup.py.
    sections = {"logger", "listen_host", "storage_configuration", "backups"} | {
        name for name in names_of(config) if name.endswith("_log")
    }

    assert names_of(config) - sections - known == set()
    assert {"max_server_memory_usage_to_ram_ratio", "mark_cache_size"} <= names_of(config)
    assert all(root.tag == "clickhouse" and names_of(root) == {"users"} for root in users)
    assert [sorted(names_of(root[0])) for root in users] == [["backup", "default"], ["marketplace"]]


# --- MongoDB ---


def test_a_member_that_belongs_to_another_set_is_not_initiated(stack: Stack) -> None:
    member = re.findall(r"//([\d.]+:\d+)/", stack.urls.mongo)[0]
    with ReplicaSetAdmin(member) as admin:
        assert admin.is_primary()
        with pytest.raises(Refused):
            admin.initiate(["mongo-1:27017", "mongo-2:27017"])


def test_nobody_answers_where_there_is_no_member() -> None:
    (port,) = free_ports(1)
    with ReplicaSetAdmin(f"{HOST}:{port}", answer_seconds=0.2) as admin, pytest.raises(Unavailable):
        admin.is_primary()


@pytest.mark.parametrize("member", ["", "mongo-1", "mongo-1:", ":27017", "mongo-1:port", "mongo-1:-1"])
def test_what_names_no_member_is_refused(member: str) -> None:
    with pytest.raises(Refused, match="is no member: give host:port"):
        ReplicaSetAdmin(member)


def test_the_first_member_is_preferred_and_the_user_may_write_its_database_alone() -> None:
    members = configuration(["mongo-1:27017", "mongo-2:27017"])["members"]
    assert [(each["host"], each["priority"]) for each in members] == [("mongo-1:27017", 2), ("mongo-2:27017", 1)]
    writing = [each for each in user_roles("shop") if each["role"] in ("readWrite", "dbAdmin")]
    assert {each["db"] for each in writing} == {"shop"}
    assert all("Any" not in each["role"] and each["role"] != "root" for each in user_roles("shop"))


# --- Kafka ---


@LONG
@pytest.mark.timeout(300)
def test_three_brokers_start_by_their_script_and_let_in_who_knows_the_password(secrets: Path, tmp_path: Path) -> None:
    try:
        jars, java = ensure_jars(KAFKA_JARS), find_java()
    except StackError as error:
        pytest.skip(str(error))
    ports = free_ports(6)
    brokers, controllers = ports[:3], ports[3:]
    compose = read_compose()
    programs = tmp_path / "kafka" / "bin"
    programs.mkdir(parents=True)
    for script, main in (("kafka-storage.sh", "kafka.tools.StorageTool"), ("kafka-server-start.sh", "kafka.Kafka")):
        (programs / script).write_text(f'#!/bin/sh\nexec {java} $KAFKA_HEAP_OPTS -cp "{jars}/*" {main} "$@"\n')
        (programs / script).chmod(0o755)

    started: list[subprocess.Popen[bytes]] = []
    with ExitStack() as nodes:
        for number in range(3):
            name, folder = f"kafka-{number + 1}", tmp_path / f"node-{number + 1}"
            folder.mkdir()
            text = (DEPLOY / "kafka/server.properties").read_text()
            for old, new in {
                ":9092": f":{brokers[number]}",
                ":9093": f":{controllers[number]}",
                "/run/secrets": str(secrets),
                "/var/lib/kafka/data": str(folder / "data"),
            }.items():
                text = text.replace(old, new)
            (folder / "server.properties").write_text(text)
            environment = compose.environment(name)
            voters = environment["KAFKA_VOTERS"]
            for other in range(3):
                voters = voters.replace(f"kafka-{other + 1}:9093", f"{HOST}:{controllers[other]}")
            environment |= {"KAFKA_VOTERS": voters, "KAFKA_HOST": HOST, "KAFKA_HEAP_OPTS": "-Xmx256m"}
            environment |= {"KAFKA_HOME": str(tmp_path / "kafka"), "KAFKA_SECRETS": str(secrets)}
            environment |= {"KAFKA_CONFIG": str(folder / "server.properties")}
            started.append(nodes.enter_context(running(DEPLOY / "kafka/start.sh", folder, **environment)))
        bootstrap = ",".join(f"{HOST}:{port}" for port in brokers)
        password = (secrets / "kafka_password").read_text()
        ours = KafkaConnection(bootstrap, KafkaSecurity("SASL_PLAINTEXT", "SCRAM-SHA-512", "marketplace", password))
        wait_until(lambda: broker_count(ours) == 3, 150, "three brokers")
        admin = TopicAdmin(ours, 20.0)
        admin.create("tried", 3, 3, {"min.insync.replicas": "2"})
        assert list(admin.describe(["tried"])) == ["tried"]
        stranger = KafkaConnection(bootstrap, KafkaSecurity("SASL_PLAINTEXT", "SCRAM-SHA-512", "marketplace", "wrong"))
        with pytest.raises(AuthenticationFailed):
            TopicAdmin(stranger, 20.0).broker_count()
        said = "".join((tmp_path / f"node-{number}" / "part.log").read_text() for number in (1, 2, 3))
        assert password not in said
        assert (secrets / "kafka_broker_password").read_text() not in said
        for process in started:
            process.terminate()


def broker_count(kafka: KafkaConnection) -> int:
    try:
        return TopicAdmin(kafka, 5.0).broker_count()
    except Unavailable:
        # A broker knows no user before it has the cluster's metadata.
        return 0
