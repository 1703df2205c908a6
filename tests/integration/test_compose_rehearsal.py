"""compose.yml and the chart without an engine: every process by its own command, until an order is confirmed.

The small deployment, because this machine is one; with the chart, its processes are those of the chart, by its
commands, variables, secrets and probes, among the parts of compose. Its containers are made of namespaces
(tests/kits/containers.py): with their users, secrets, volumes, read-only roots, names and ports. Kafka, Connect, Redis
and nginx are real, by the files that compose mounts; MongoDB and ClickHouse are the embedded stack's stand-ins, and
nothing catches mails.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

import httpx
import pytest

from marketplace.settings import Urls
from ops.demo.orders.buyers import ensure_buyers
from ops.demo.orders.client import Person
from ops.demo.orders.plan import GOOD
from ops.demo.traffic.shops import SHOPS
from ops.deploy.secrets import make_secrets
from ops.stack import StackError
from ops.stack.health.checks import check
from ops.stack.parts.kafka_jars import CONNECT_JARS, KAFKA_JARS, ensure_jars, find_java
from ops.stack.parts.redis import redis_program
from ops.stack.process_spec import HealthCheck
from runtime.sections import Settings
from tests.kits.chart import instead_of, render
from tests.kits.compose import CORE, FILE, ROOT, Deployment, read_compose, without
from tests.kits.containers import Machine, image_environment, missing
from tests.kits.depth import LONG

STAND_INS: Final = ("mongo-1", "mongo-setup", "clickhouse", "mail")
"""What has no program here: the first and the third have another one in their place."""

OPTIONS: Final = "?replicaSet=secantus&directConnection=true"
OPERATORS: Final = (
    ("flow", ["marketplace", "report", "--store", "brooklyn-coffee", "--grain", "day"]),
    ("flow", ["marketplace", "provision"]),
    ("api", ["marketplace", "keys", "rotate"]),
    ("consumers", ["marketplace", "consumers", "list"]),
)
"""Commands of people, and where docs/how-to/deploy.md lets them run."""

OF_COMPOSE_ALONE: Final = ["marketplace", "keys", "rotate"]
"""With the chart, the keys are in a Secret."""

START_SECONDS: Final = 180.0
ORDER_SECONDS: Final = 60.0
URL: Final = "https://localhost:8443"

pytestmark = [LONG, pytest.mark.timeout(600)]


class Rehearsal:
    """The small deployment on this machine.

    Args:
        folder: Of everything.
        by_chart: Whether processes of ours are those of the chart.
    """

    def __init__(self, folder: Path, by_chart: bool) -> None:
        self.by_chart = by_chart
        self.compose: Deployment = without(read_compose(FILE, CORE), "demo")
        hosts = [*self.compose.services]
        if by_chart:
            rendered = render("trial")
            self.compose = instead_of(self.compose, rendered)
            hosts += ["kafka", *(each["metadata"]["name"] for each in rendered.of_kind("Service"))]
        self.began = time.monotonic()
        self.lines: list[str] = []
        self.failures: Counter[str] = Counter()
        secrets = folder / "secrets"
        make_secrets(secrets, "localhost")
        password = (secrets / "clickhouse_password").read_text()
        replaced = {
            "mongo_url": f"mongodb://mongo-1:27017/{OPTIONS}",
            # The stand-in takes requests to an address only.
            "clickhouse_url": f"http://marketplace:{password}@127.0.0.1:8123",
        }
        for name, text in replaced.items():
            (secrets / name).unlink()
            (secrets / name).write_text(text)
        self.machine = Machine(folder, secrets, self._programs(folder))
        # Names of containers that are not there stay unknown, as in the small deployment.
        names = [socket.gethostname(), *(name for name in hosts if name != "mail")]
        (folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(names)}\n")

    def _programs(self, folder: Path) -> dict[str, Path]:
        """What the images of others have at their places, made of what is here."""
        kafka, connect, java = ensure_jars(KAFKA_JARS), ensure_jars(CONNECT_JARS), find_java()
        scripts = folder / "kafka" / "bin"
        scripts.mkdir(parents=True)
        for script, main in (("kafka-storage.sh", "kafka.tools.StorageTool"), ("kafka-server-start.sh", "kafka.Kafka")):
            quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
            text = f'#!/bin/sh\nexec {java} $KAFKA_HEAP_OPTS {quiet} -cp "{kafka}/*" {main} "$@"\n'
            (scripts / script).write_text(text)
            (scripts / script).chmod(0o755)
        programs = {"/opt/kafka": folder / "kafka", "/opt/connect/jars": connect}
        return {**programs, "/usr/local/bin/valkey-server": redis_program()}

    def say(self, line: str) -> None:
        self.lines.append(f"{time.monotonic() - self.began:6.1f} s  {line}")
        sys.stdout.write(f"{self.lines[-1]}\n")

    def up(self) -> None:
        """Start all of it, each when what it waits for is there."""
        networks = [each["networks"] for each in self.compose.services.values() if isinstance(each["networks"], dict)]
        front = [each["front"]["ipv4_address"] for each in networks if "ipv4_address" in each.get("front", {})]
        self.machine.start(front)
        self._stand_in()
        there: set[str] = set(STAND_INS)
        started: set[str] = set()
        waiting = {name: each for name, each in self.compose.services.items() if name not in STAND_INS}
        deadline = time.monotonic() + START_SECONDS
        while waiting or started - there:
            assert time.monotonic() < deadline, f"not up: {sorted(set(waiting) | started - there)}: {self.troubles()}"
            for name, service in list(waiting.items()):
                needs = set(service.get("depends_on") or {}) & (set(self.compose.services))
                if needs <= there:
                    self.machine.run(name, service, self._environment(name))
                    self.say(f"{name}: started after {', '.join(sorted(needs)) or 'nothing'}")
                    started.add(name)
                    del waiting[name]
            for name in sorted(started - there):
                if self._is_there(name):
                    there.add(name)
            time.sleep(0.1)

    def _stand_in(self) -> None:
        folder = self.machine.folder
        server = ROOT / "ops" / "stack" / "parts" / "secantus_server.py"
        mongo = [sys.executable, "-P", str(server), "--host", "127.0.0.1", "--port", "27017"]
        self.machine.beside([*mongo, "--storage-path", str(folder / "mongo")], "mongo-1")
        clickhouse = [sys.executable, "-m", "ops.stack.clickhouse_http", "--data", str(folder / "clickhouse")]
        self.machine.beside([*clickhouse, "--host", "127.0.0.1", "--port", "8123", "--stop-on-stdin-eof"], "clickhouse")

    def _environment(self, name: str) -> dict[str, str]:
        ours = image_environment() if name in self.compose.ours else {}
        return {**ours, **self.compose.environment(name)}

    def _is_there(self, name: str) -> bool:
        container = self.machine.containers[name]
        code = container.process.poll()
        if container.service.get("restart") == "on-failure:5":
            if code and self.failures[name] < 5:
                self.failures[name] += 1
                self.say(f"{name}: ended with {code}, and is started again: {container.said(200).strip()}")
                self.machine.run(name, container.service, self._environment(name))
                return False
            assert code in (None, 0), f"{name} ended with {code}: {container.said()}"
            if code == 0:
                self.say(f"{name}: done")
            return code == 0
        assert code is None, f"{name} ended with {code}: {container.said()}"
        if name.startswith("kafka-") or name == "redis":
            # Their health commands are programs of their images.
            with self.machine.inside():
                healthy = self._listens(6379 if name == "redis" else 9092)
            said = "listens"
        elif probe := container.service.get("probe"):
            with self.machine.inside():
                healthy, said = self._answers(*probe), f"{probe[1]} at {probe[0]}"
        else:
            code, said = self.machine.health(name)
            healthy = code == 0
        if healthy:
            self.say(f"{name}: healthy: {said}")
        return healthy

    @staticmethod
    def _listens(port: int) -> bool:
        return check(HealthCheck("answer", "/"), f"http://127.0.0.1:{port}", 1.0).text.find("refused") < 0

    @staticmethod
    def _answers(port: int, path: str) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def troubles(self) -> str:
        return "\n".join(f"--- {name}\n{each.said(1_500)}" for name, each in self.machine.containers.items())

    @property
    def running(self) -> list[str]:
        """Containers that run, in the order in which they were started."""
        return [name for name, each in self.machine.containers.items() if each.process.poll() is None and each.service]

    def limit(self, name: str) -> int:
        """MB that compose lets a container have."""
        return int(self.compose.services[name]["deploy"]["resources"]["limits"]["memory"].removesuffix("M"))

    def down(self) -> dict[str, tuple[int, float]]:
        """Stop in the opposite order; returns exit codes and seconds."""
        found = {}
        for name in reversed(self.running):
            found[name] = self.machine.stop(name)
            self.say(f"{name}: ended with {found[name][0]} after {found[name][1]:.1f} s")
        return found


@pytest.fixture(scope="module", params=["compose", "chart"])
def rehearsal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    if reason := missing():
        pytest.skip(reason)
    try:
        running = Rehearsal(tmp_path_factory.mktemp("rehearsal"), by_chart=request.param == "chart")
    except StackError as error:
        pytest.skip(str(error))
    try:
        running.up()
        yield running
    finally:
        running.machine.end()


def test_an_order_through_the_proxy_is_confirmed_and_everything_stops_in_order(rehearsal: Rehearsal) -> None:
    with rehearsal.machine.inside():
        order = place(rehearsal)
    rehearsal.say(f"order {order['id']}: {order['state']}")
    asked = [each for each in OPERATORS if not (rehearsal.by_chart and each[1] == OF_COMPOSE_ALONE)]
    exits = [rehearsal.machine.execute(*each) for each in asked]
    used = {name: rehearsal.machine.megabytes(name) for name in rehearsal.running}
    for name, megabytes in used.items():
        rehearsal.say(f"{name}: {megabytes:.0f} MB of {rehearsal.limit(name)}")
    ended = rehearsal.down()

    assert order["state"] == "confirmed"
    assert [said for code, said in exits if code] == []
    ours = {name: code for name, (code, _) in ended.items() if name in rehearsal.compose.ours}
    assert ours == dict.fromkeys(ours, 0)
    assert len(ours) >= 8
    grace = {name: int(rehearsal.compose.services[name]["stop_grace_period"].removesuffix("s")) for name in ended}
    assert [name for name, (_, seconds) in ended.items() if seconds > grace[name]] == []
    assert [name for name in ours if not 0 < used[name] < 0.8 * rehearsal.limit(name)] == []
    (Path.cwd() / ".bench").mkdir(exist_ok=True)
    name = f"{'chart' if rehearsal.by_chart else 'compose'}-rehearsal.log"
    (Path.cwd() / ".bench" / name).write_text("\n".join(rehearsal.lines) + "\n")


def place(rehearsal: Rehearsal) -> dict[str, Any]:
    """Buy something through nginx, and wait for the end of its order."""
    settings = Settings(Urls(mongo=f"mongodb://127.0.0.1:27017/{OPTIONS}"), PurePosixPath("unused"))
    (buyer,) = ensure_buyers(settings, datetime.now(UTC), ["Amara"])
    os.environ["SSL_CERT_FILE"] = str(rehearsal.machine.secrets / "tls_certificate")
    try:
        with closing(Person(URL, buyer.email, buyer.password)) as person:
            slug = SHOPS[0].name
            hit = person.ask("GET", f"/v1/shops/{slug}/search", params={"sort": "rating", "limit": 5}).json()["hits"][0]
            product = person.ask("GET", f"/v1/shops/{slug}/products/{hit['slug']}").json()
            variant = next(each for each in product["variants"] if each["availability"] != "none")
            line = {"product": product["id"], "variant": variant["id"], "quantity": 1}
            assert person.ask("POST", "/v1/cart/lines", line).is_success
            card = {"number": GOOD, "exp": "12/30", "cvc": "123"}
            token = httpx.post("http://127.0.0.1:18700/v1/methods", json=card, timeout=20).json()["token"]
            cart = person.ask("GET", "/v1/cart").json()
            body = {
                "cart_version": cart["version"],
                "changes_id": cart.get("changes_id"),
                "delivery": {
                    "name": "Amara", "street": "Market Road 1", "postcode": "10115", "city": "Berlin", "country": "DE",
                },
                "payment": {"method": token},
            }  # fmt: skip
            placed = person.ask("POST", "/v1/orders", body, key="rehearsal-0001")
            assert placed.status_code == 201, placed.text
            own = placed.json()["orders"][0]["id"]
            deadline = time.monotonic() + ORDER_SECONDS
            while True:
                found: dict[str, Any] = person.ask("GET", f"/v1/orders/{own}").json()
                if found["state"] in ("confirmed", "cancelled"):
                    return found
                assert time.monotonic() < deadline, f"{found['state']}: {rehearsal.troubles()}"
                time.sleep(0.2)
    finally:
        del os.environ["SSL_CERT_FILE"]
