"""`marketplace up`, `down` and `status` on real processes: one clear line, nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.stack import Stack, StackError, running_state
from ops.stack.parts.kafka_archive import prepared_kafka
from ops.stack.parts.kafka_jars import find_java
from ops.stack.registry import REGISTRY, SERVICES
from runtime.ports import free_ports
from tests.kits.stack import CLI, ROOT, all_gone, eventually, processes_of


@pytest.fixture(scope="module", autouse=True)
def _java() -> None:
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture
def marketplace(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs the commands on a data folder of the test's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    environment |= {"PYTHONPATH": str(ROOT), "MARKETPLACE_DATA": str(tmp_path / "data")}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", CLI, *arguments]
        # Files instead of pipes: a detached supervisor must not hold the caller's output open.
        with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
            code = subprocess.run(
                command, stdout=out, stderr=err, timeout=120, env=environment | variables, check=False
            ).returncode
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, code, out.read(), err.read())

    yield run
    Stack(tmp_path / "data", external={}).stop()


def test_up_status_and_down_work_together(
    marketplace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    with Stack(tmp_path / "elsewhere", ports="auto", parts={"mongo"}, external={}) as elsewhere:
        mongo = {"MARKETPLACE_MONGO_URL": elsewhere.urls.mongo}
        assert marketplace("status").returncode == 1
        up = marketplace("up", "--ports", "auto", "--json", **mongo)
        assert (up.returncode, up.stderr) == (0, "")
        document = json.loads(up.stdout)
        assert document["phase"] == "running"
        assert {info["name"] for info in document["processes"]} == set(REGISTRY.usual)
        with urllib.request.urlopen(document["urls"]["clickhouse"] + "/ping") as response:
            assert response.status == 200

        again = marketplace("up", **mongo)
        assert again.returncode == 0
        assert "running already" in again.stdout
        assert document["urls"]["clickhouse"] in again.stdout
        port = document["ports"]["kafka"]
        as_it_is = marketplace("up", "--brokers", "1", "--kafka-port", str(port), **mongo)
        assert as_it_is.returncode == 0
        otherwise = marketplace("up", "--brokers", "3", "--kafka-port", "1", "--mongo-port", "2", **mongo)
        assert (otherwise.returncode, otherwise.stdout, otherwise.stderr.count("\n")) == (1, "", 1)
        assert (
            f"but not as asked: --brokers 3 (it has 1), --kafka-port 1 (it is {port}), --mongo-port 2 "
            "(it is not ours): 'marketplace down' first"
        ) in otherwise.stderr

        changed = marketplace(
            *("up", "--no-services", "--foreground", "--ports", "auto"),
            MARKETPLACE_REDIS_URL="redis://u:secret@elsewhere",
            MARKETPLACE_HANG_SECONDS="7",
            **mongo,
        )
        assert (changed.returncode, changed.stdout, changed.stderr.count("\n")) == (1, "", 1)
        for difference in (
            f"--no-services (it has {', '.join(SERVICES)})",
            "--foreground (it does not end with this command)",
            "MARKETPLACE_REDIS_URL (it uses another redis)",
            "MARKETPLACE_HANG_SECONDS=7 (it is 40)",
        ):
            assert difference in changed.stderr
        assert "secret" not in changed.stderr
        auto = marketplace("up", "--ports", "auto", **mongo)
        assert (auto.returncode, "--ports auto changes nothing" in auto.stderr) == (0, True)

        status = marketplace("status", "--json")
        assert status.returncode == 0
        assert json.loads(status.stdout)["urls"] == document["urls"]

        processes = processes_of(Stack(tmp_path / "data", external={}))
        down = marketplace("down")
        assert (down.returncode, down.stdout.startswith("The stack is down")) == (0, True)
        assert all_gone(processes)
        assert marketplace("down").stdout == "Nothing is running.\n"


def test_a_taken_port_stops_up_with_one_line_and_nothing_left(
    marketplace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        others = [str(number) for number in free_ports(3)]
        flags = ("--no-services", "--kafka-port", others[0], "--mongo-port", others[1], "--clickhouse-port", others[2])
        up = marketplace("up", *flags, MARKETPLACE_REDIS_PORT=str(port))
    assert up.returncode == 1
    assert up.stdout == ""
    assert up.stderr.count("\n") == 1
    assert f"Redis (Valkey) cannot listen on port {port}: it is taken by" in up.stderr
    assert "--ports auto" in up.stderr
    assert running_state(tmp_path / "data") is None


def test_a_missing_java_is_one_clear_line(
    marketplace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    up = marketplace("up", "--no-services", "--ports", "auto", PATH=str(tmp_path), JAVA_HOME="")
    assert (up.returncode, up.stderr.count("\n")) == (1, 1)
    assert "apt install openjdk-17-jre-headless" in up.stderr


def test_a_missing_maven_is_one_clear_line(
    marketplace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "java").symlink_to(find_java())
    nowhere = {"PATH": str(tmp_path), "JAVA_HOME": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    up = marketplace("up", "--no-services", "--ports", "auto", **nowhere)
    assert (up.returncode, up.stderr.count("\n")) == (1, 1)
    assert "apt install maven" in up.stderr


def test_an_interrupted_up_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARKETPLACE_DATA": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", CLI, "up", "--no-services", "--ports", "auto"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert eventually(lambda: running_state(tmp_path) is not None)
        processes = processes_of(Stack(tmp_path, external={}))
        up.send_signal(signal.SIGINT)
        _, complaint = up.communicate(timeout=60)
    assert (up.returncode, complaint) == (130, "Interrupted; nothing is left running.\n")
    assert eventually(lambda: all_gone(processes))


def test_up_in_the_foreground_stops_everything_at_its_end(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARKETPLACE_DATA": str(tmp_path)}
    command = [sys.executable, "-c", CLI, "up", "--no-services", "--ports", "auto", "--foreground"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert up.stdout.readline().startswith("The stack is up")
        processes = processes_of(Stack(tmp_path, external={}))
        up.terminate()
        up.communicate(timeout=60)
    assert up.returncode == 0
    assert all_gone(processes)


def test_a_setting_that_cannot_be_used_is_one_line_and_exit_code_2(
    marketplace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for name, value in (("HANG_SECONDS", "soon"), ("LOW_DISK_MB", "-1"), ("MONGO_URL", "localhost:27017")):
        up = marketplace("up", **{f"MARKETPLACE_{name}": value})
        assert (up.returncode, up.stdout, up.stderr.count("\n")) == (2, "", 1)
        assert f"MARKETPLACE_{name}" in up.stderr
    assert not (tmp_path / "data" / "state.json").exists()


def test_a_data_folder_that_is_none_is_one_clear_line(
    marketplace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for data in (tmp_path / "file", tmp_path / "file" / "below"):
        up = marketplace("up", "--no-services", "--data", str(data))
        assert (up.returncode, up.stdout, up.stderr.count("\n")) == (1, "", 1)
        assert f"the data folder {data} cannot be used" in up.stderr
