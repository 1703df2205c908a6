"""What a check finds: fine, not ready with a reason, or no answer. Only the last may mean that a process hangs."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops.stack.health.checks import Health, check
from ops.stack.process_spec import HealthCheck
from ops.stack.registry import REGISTRY
from ops.stack.state.model import Part
from runtime.ports import free_ports
from tests.kits.stack import ROOT

SERVING: tuple[Part, ...] = ("flow", "collector", "traffic")
OLDER: Mapping[Part, str] = {"flow": "/healthz", "collector": "/readyz", "traffic": "/healthz"}
EVERY: tuple[Part, ...] = tuple(each.name for each in REGISTRY)
ELSEWHERE = HealthCheck("clickhouse sql")
SLOW = -1


def url_of(part: Part, port: int) -> str:
    schemes: Mapping[Part, str] = {"kafka": "", "mongo": "mongodb://", "redis": "redis://"}
    return f"{schemes.get(part, 'http://')}127.0.0.1:{port}"


@contextmanager
def serving(pages: Mapping[str, tuple[int, str]]) -> Iterator[int]:
    """A server that answers these pages, and all others with 404; a page that is SLOW is not answered in time."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = pages.get(self.path, (404, "no such page"))
            if status == SLOW:
                done.wait(10)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def found(part: Part, pages: Mapping[str, tuple[int, str]]) -> Health:
    slow = any(status == SLOW for status, _ in pages.values())
    with serving(pages) as port:
        return check(REGISTRY[part].check, url_of(part, port), 0.3 if slow else 5.0)


@pytest.mark.parametrize("part", SERVING)
def test_a_service_that_progresses_and_is_ready_is_fine(part: Part) -> None:
    assert found(part, {"/livez": (200, "yes"), "/readyz": (200, "yes")}).outcome == "fine"


def test_what_a_ready_service_says_after_its_first_line_is_a_note() -> None:
    ready = (200, "ok\nread models: 3 days behind\nGeoIP: the file is refused\n")
    health = found("flow", {"/livez": (200, "ok\n"), "/readyz": ready})
    assert health == Health("fine", "read models: 3 days behind; GeoIP: the file is refused")


@pytest.mark.parametrize("part", SERVING)
def test_a_service_that_does_not_progress_gives_no_answer_whatever_it_says_about_being_ready(part: Part) -> None:
    health = found(part, {"/livez": (503, "no progress for 60 s"), "/readyz": (200, "yes")})
    assert (health.outcome, "no progress for 60 s" in health.text) == ("no answer", True)
    assert found(part, {"/livez": (SLOW, ""), "/readyz": (200, "yes")}).outcome == "no answer"


@pytest.mark.parametrize("part", SERVING)
@pytest.mark.parametrize("ready", [(503, "Kafka does not answer\n"), (500, ""), (SLOW, "")])
def test_a_service_that_progresses_is_never_more_than_not_ready(part: Part, ready: tuple[int, str]) -> None:
    health = found(part, {"/livez": (200, "yes"), "/readyz": ready})
    assert health.outcome == "not ready"
    assert health.text == ready[1].strip() or not ready[1]


@pytest.mark.parametrize("part", SERVING)
def test_an_older_service_is_asked_where_it_always_was(part: Part) -> None:
    assert found(part, {OLDER[part]: (200, "yes")}).outcome == "fine"
    assert found(part, {OLDER[part]: (503, "starting")}) == Health("not ready", "starting")
    assert found(part, {OLDER[part]: (SLOW, "")}).outcome == "not ready"


def test_the_dashboard_is_asked_for_its_own_health() -> None:
    assert found("dashboard", {"/_stcore/health": (200, "ok")}).outcome == "fine"
    assert found("dashboard", {"/_stcore/health": (503, "starting")}) == Health("not ready", "starting")


@pytest.mark.parametrize("part", EVERY)
def test_a_port_that_nobody_listens_on_is_no_answer_and_known_at_once(part: Part) -> None:
    (port,) = free_ports(1)
    began = time.monotonic()
    health = check(REGISTRY[part].check, url_of(part, port), 2.0)
    assert (health.outcome, "\n" in health.text) == ("no answer", False)
    assert health.text
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("part", EVERY)
def test_a_process_that_takes_connections_and_says_nothing_is_no_answer_within_the_time(part: Part) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        assert check(REGISTRY[part].check, url_of(part, server.getsockname()[1]), 0.3).outcome == "no answer"
        assert time.monotonic() - began < 4


def test_a_redis_that_loads_or_wants_a_password_has_answered() -> None:
    for answer in (b"-LOADING Redis is loading the dataset in memory\r\n", b"-NOAUTH Authentication required.\r\n"):
        with _redis(answer) as port:
            health = check(HealthCheck("redis"), url_of("redis", port), 1.0)
        assert health.outcome == "not ready"
        assert health.text


@contextmanager
def _redis(answer: bytes) -> Iterator[int]:
    """Answers everything alike."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                client, _ = server.accept()
                with client:
                    while data := client.recv(4096):
                        client.sendall(answer * max(1, data.count(b"*")))
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_proxy_of_the_environment_is_not_asked() -> None:
    with serving({"/livez": (200, "yes"), "/readyz": (200, "yes")}) as port:
        imports = "from ops.stack.health.checks import check; from ops.stack.process_spec import SERVICE_CHECK"
        program = f"{imports}; print(check(SERVICE_CHECK, {url_of('flow', port)!r}, 5.0).outcome)"
        environment = {"PYTHONPATH": str(ROOT), "http_proxy": "http://127.0.0.1:1", "PATH": os.environ["PATH"]}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "fine\n"


def test_a_clickhouse_elsewhere_is_asked_with_its_password_for_an_answer_of_the_engine() -> None:
    with serving({"/?query=SELECT%201": (200, "1\n"), "/ping": (500, "no")}) as port:
        assert check(ELSEWHERE, f"http://u:p@127.0.0.1:{port}", 2.0).outcome == "fine"
    with serving({"/?query=SELECT%201": (401, "who are you?\n")}) as port:
        health = check(ELSEWHERE, f"http://127.0.0.1:{port}", 2.0)
    assert health == Health("not ready", "SELECT 1: 401 who are you?")


STATUSES = "/connectors?expand=status"
HEALTHY = (200, '{"status":"healthy"}')
RUNS = '{"outbox":{"status":{"name":"outbox","connector":{"state":"RUNNING"},"tasks":[{"id":0,"state":"RUNNING"}]}}}'


def test_a_worker_of_kafka_connect_that_goes_on_and_whose_tasks_run_is_fine() -> None:
    assert found("connect", {STATUSES: (200, RUNS), "/health": HEALTHY}) == Health("fine")
    assert found("connect", {STATUSES: (200, "{}"), "/health": HEALTHY}) == Health("fine")


def test_a_task_that_has_failed_makes_kafka_connect_not_ready_however_long_its_stack_trace_is() -> None:
    failed = RUNS.replace('"state":"RUNNING"}]', f'"state":"FAILED","trace":"java.lang.Error: x{" at y" * 5_000}"}}]')
    health = found("connect", {STATUSES: (200, failed), "/health": HEALTHY})
    assert health.outcome == "not ready"
    assert health.text.startswith("task outbox-0 has failed: java.lang.Error: x")


@pytest.mark.parametrize("health", [(500, "{}"), (SLOW, "")], ids=["says so", "says nothing"])
def test_a_worker_of_kafka_connect_that_waits_for_kafka_is_not_ready_and_does_not_hang(health: tuple[int, str]) -> None:
    pages = {STATUSES: (200, RUNS), "/health": health}
    assert found("connect", pages) == Health("not ready", "its worker waits for Kafka")
    with serving(pages) as port:
        url = url_of("connect", port)
        assert check(HealthCheck("connect", "127.0.0.1:1"), url, 0.5).text == "its worker waits for Kafka"


def test_a_worker_of_kafka_connect_that_starts_is_not_ready() -> None:
    pages = {STATUSES: (404, "no such page"), "/health": (503, '{"status":"starting"}')}
    assert found("connect", pages) == Health("not ready", "it is starting")


def test_a_worker_of_kafka_connect_that_does_not_answer_may_hang() -> None:
    assert found("connect", {STATUSES: (SLOW, ""), "/health": HEALTHY}).outcome == "no answer"
