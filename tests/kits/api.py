"""The API as a process, and people who use it."""

from __future__ import annotations

import email
import random
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.policy import default
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from connectors.mongo.client import connect
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.ports import free_ports
from runtime.sections import Settings
from tests.kits.commands import run_command
from tests.kits.dashboard import environment_of, service

PASSWORD = "correct horse battery"
DEADLINE_SECONDS = 20.0


@dataclass
class Api:
    """A running API.

    Attributes:
        url: Its public URL.
        admin_url: Of its health and metrics.
        folder: Its data folder; mails are in ``mails``.
        process: The process.
        environment: Its settings, for commands on the same data.
        followed: Links that :meth:`link_to` has given.
    """

    url: str
    admin_url: str
    folder: Path
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]
    followed: set[str] = field(default_factory=set)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request, from an address that nobody else has unless one is given."""
        headers = {"x-forwarded-for": any_address(), **options.pop("headers", {})}
        return _client().request(method, f"{self.url}{path}", headers=headers, **options)

    def post(self, path: str, body: Any, token: str = "") -> httpx.Response:
        """Send JSON, as somebody."""
        return self.ask("POST", path, json=body, headers=bearer(token))

    def command(self, *arguments: str) -> str:
        """What ``marketplace`` prints on the same data."""
        done = run_command(*arguments, cwd=self.folder, env={**self.environment, "NO_COLOR": "1"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mail_to(self, address: str, subject: str) -> str:
        """The text of the newest mail to an address; waits until it is there."""
        return self._newest(address, subject, lambda text: text)

    def link_to(self, address: str, subject: str) -> str:
        """The secret of the link in the newest mail, one that was not given before; waits until it is there."""

        def link_of(text: str) -> str | None:
            found = re.search(r"^https?://\S+#(\S+)\s*$", text, re.MULTILINE)
            return None if found is None or found[1] in self.followed else found[1]

        link = self._newest(address, subject, link_of)
        self.followed.add(link)
        return link

    def _newest(self, address: str, subject: str, read: Callable[[str], str | None]) -> str:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            found = []
            for file in (self.folder / "mails").glob("*.eml"):
                message = email.message_from_bytes(file.read_bytes(), policy=default)
                if (message["To"], message["Subject"]) == (address, subject):
                    text = read(str(message.get_body().get_content()))  # type: ignore[union-attr]  # None fails the test
                    found += [] if text is None else [(file.stat().st_mtime_ns, text)]
            if found:
                return max(found)[1]
            assert time.monotonic() < deadline, f"no mail {subject!r} to {address}"
            time.sleep(0.05)

    def make_account(self, address: str = "", name: str = "Ann") -> Person:
        """Register, follow the link, sign in."""
        address = address or f"{uuid.uuid4().hex}@shop.example"
        body = {"email": address, "name": name, "password": PASSWORD}
        assert self.post("/v1/identity/registrations", body).status_code == 202
        confirmed = self.post("/v1/identity/confirmations", {"token": self.link_to(address, "Confirm your address")})
        assert confirmed.status_code == 201, confirmed.text
        return self.sign_in(address)

    def refresh(self, token: str) -> httpx.Response:
        """Replace a refresh token."""
        return self.post("/v1/identity/sessions/refresh", {"refresh_token": token})

    def sign_in(self, address: str, password: str = PASSWORD) -> Person:
        """Begin a session."""
        response = self.post("/v1/identity/sessions", {"email": address, "password": password})
        assert response.status_code == 201, response.text
        return Person(self, address, response.json()["access_token"], response.json()["refresh_token"])


@dataclass
class Person:
    """Somebody who is signed in.

    Attributes:
        api: Where.
        email: The address.
        access_token: Of the sign-in.
        refresh_token: The current one.
    """

    api: Api
    email: str
    access_token: str
    refresh_token: str

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request as this person."""
        return self.api.ask(method, path, headers=bearer(self.access_token), **options)

    def post(self, path: str, body: Any) -> httpx.Response:
        """Send JSON as this person."""
        return self.api.post(path, body, self.access_token)

    def is_signed_in(self) -> bool:
        """Whether the access token is still taken; waits for its next request where there were too many."""
        deadline, status = time.monotonic() + 20, 429
        while status == 429 and time.monotonic() < deadline:
            answer = self.ask("GET", "/v1/identity/me")
            status = answer.status_code
            time.sleep(float(answer.headers.get("retry-after", 0)) if status == 429 else 0)
        assert status in (200, 401)
        return status == 200

    def is_out_within(self, seconds: float) -> bool:
        """Whether the access token stops being taken in that time."""
        deadline = time.monotonic() + seconds
        while self.is_signed_in():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@cache
def _client() -> httpx.Client:
    # One for all: a new one costs more than a request. It keeps no connection, because processes come and go.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.Client(timeout=DEADLINE_SECONDS, limits=limits)


def any_address() -> str:
    """One of the network that is for benchmarks (RFC 2544)."""
    return f"198.18.{random.randrange(256)}.{random.randrange(256)}"


def bearer(token: str) -> dict[str, str]:
    """The header of a token; empty for nobody."""
    return {"authorization": f"Bearer {token}"} if token else {}


@contextmanager
def running_api(stack: Stack, folder: Path, database: str, **more: str) -> Iterator[Api]:
    """Run one on free ports; its collections are made."""
    public, admin = free_ports(2)
    urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
    ensure_provisioned(Settings(urls, PurePosixPath(folder), database), resources=REGISTRY.service("api").resources)
    own = {
        "MARKETPLACE_DATA": str(folder),
        "MARKETPLACE_API_PORT": str(public),
        "MARKETPLACE_API_ADMIN_PORT": str(admin),
        "MARKETPLACE_API_TRUSTED_PROXIES": "127.0.0.1",
        # It has no part of it.
        "MARKETPLACE_KAFKA_URL": "",
    }
    environment = environment_of(stack, database, **{**own, **more})
    admin_url = f"http://127.0.0.1:{admin}"
    with service("api", environment, folder / "api.log", f"{admin_url}/readyz") as process:
        yield Api(f"http://127.0.0.1:{public}", admin_url, folder, process, environment)


@contextmanager
def own_database(stack: Stack) -> Iterator[str]:
    """The name of a database that nobody else has, gone afterwards."""
    name = f"api_{uuid.uuid4().hex}"
    yield name
    # On a busy machine SecantusDB takes longer to drop a database than other clients wait.
    with connect(stack.urls.mongo, deadline_seconds=60) as client:
        client.drop_database(name)


@contextmanager
def quiet_api(stack: Stack, folder: Path) -> Iterator[Api]:
    """One on a database of its own, whose log must hold no password and no error that nobody expected."""
    with own_database(stack) as database, running_api(stack, folder, database) as running:
        yield running
    log = (running.folder / "api.log").read_text()
    assert "Traceback" not in log
    assert PASSWORD not in log
    assert [secret for secret in running.followed if secret in log] == []


def kill(api: Api) -> None:
    """End the process without a chance to finish anything."""
    api.process.send_signal(signal.SIGKILL)
    api.process.wait(10)
