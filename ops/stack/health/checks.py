"""How a part is: each check speaks the part's own protocol. It answers, is not ready and says why, or does not answer.

Only a process that does not answer may be standing still; one that is not ready works at it.
"""

import base64
import http.client
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlsplit

import msgspec

from connectors.debezium.statuses import ConnectorStatus
from connectors.kafka.client_config import KafkaConnection, client_config
from ops.stack.process_spec import HealthCheck, Protocol
from ops.stack.state.model import OLDEST_QUERY_HEADER
from runtime.sections import read_security
from runtime.settings import load

_REASON_CHARACTERS: Final = 200
_PAGE_BYTES: Final = 4096
_CONNECTORS_BYTES: Final = 1 << 20
"""A task that has failed has its stack trace there."""
_LONG_QUERY_SECONDS: Final = 10.0

Outcome = Literal["fine", "not ready", "no answer"]


@dataclass(frozen=True, slots=True)
class Health:
    """What a check found. `text` says why a part is not fine, or what is worth knowing about one that is."""

    outcome: Outcome
    text: str = ""


FINE: Final = Health("fine")
Check = Callable[[str, float], Health]


def check(how: HealthCheck, url: str, timeout_seconds: float) -> Health:
    """Check one process.

    Args:
        how: Which protocol it speaks, and which page it has.
        url: Where it says how it is.
        timeout_seconds: How long it may take to answer. A client may not keep to it: see `RunningCheck`.
    """
    try:
        return _CHECKS[how.protocol](how.path)(url, timeout_seconds)
    except Exception as error:
        # Every client has its own family of errors; whatever it is, nothing that could be understood was answered.
        return no_answer(f"{type(error).__name__}: {_first_line(str(error))}")


def not_ready(reason: str) -> Health:
    """It answered, and does not serve yet."""
    return Health("not ready", _first_line(reason))


def no_answer(reason: str) -> Health:
    """It did not answer."""
    return Health("no answer", _first_line(reason))


def _kafka(url: str, timeout_seconds: float) -> Health:
    # The client waits out its time also where nobody listens.
    for address in url.split(","):
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=timeout_seconds).close()
    from confluent_kafka.admin import AdminClient

    connection = KafkaConnection(url, load(os.environ, read_security))
    client = AdminClient(client_config(connection, "stack.health", {"reconnect.backoff.max.ms": 200}))
    metadata = client.list_topics(timeout=timeout_seconds)
    if metadata.controller_id < 0:
        return not_ready("the cluster has no controller")
    answering = {f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()}
    missing = [address for address in url.split(",") if address.startswith("127.0.0.1:") and address not in answering]
    return not_ready(f"the controller does not count on {', '.join(missing)} yet") if missing else FINE


def _mongo(url: str, timeout_seconds: float) -> Health:
    from pymongo import MongoClient
    from pymongo.errors import NotPrimaryError, OperationFailure

    milliseconds = max(1, int(timeout_seconds * 1000))
    client: MongoClient[dict[str, object]] = MongoClient(
        url, serverSelectionTimeoutMS=milliseconds, connectTimeoutMS=milliseconds, socketTimeoutMS=milliseconds
    )
    with client:
        try:
            if not client.admin.command("hello").get("isWritablePrimary"):
                return not_ready("there is no primary")
            # A storage engine that has given up lets the server go on answering all but questions about data.
            client["marketplace"]["stores"].find_one({}, {"_id": 1})
        except NotPrimaryError as error:
            return not_ready(str(error))
        except OperationFailure as error:
            return no_answer(str(error)) if "internal" in str(error).lower() else not_ready(str(error))
    return FINE


def _clickhouse(url: str, timeout_seconds: float) -> Health:
    """Asks its HTTP loop, which answers however busy the engine is."""
    answer = _get(url, "/ping", timeout_seconds)
    if answer.status != 200:
        return not_ready(f"/ping: {answer.status} {answer.text}")
    oldest = float(answer.headers.get(OLDEST_QUERY_HEADER) or 0)
    return Health("fine", f"a query has been running for {oldest:.0f} s" if oldest >= _LONG_QUERY_SECONDS else "")


def _clickhouse_elsewhere(url: str, timeout_seconds: float) -> Health:
    answer = _get(url, f"/?query={quote('SELECT 1')}", timeout_seconds)
    if (answer.status, answer.text) == (200, "1"):
        return FINE
    return not_ready(f"SELECT 1: {answer.status} {answer.text}")


def _redis(url: str, timeout_seconds: float) -> Health:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis.from_url(
        url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, retry=Retry(NoBackoff(), 0)
    )
    try:
        return FINE if client.ping() else not_ready("no PONG")
    except (redis.AuthenticationError, redis.BusyLoadingError, redis.ResponseError) as error:
        return not_ready(f"{type(error).__name__}: {error}")
    finally:
        client.close()


def _connect(brokers: str) -> Check:
    """Whether a worker of Kafka Connect goes on, and whether all tasks of its connectors run.

    A task that has failed is the relay's to restart, so the worker is only not ready. Without Kafka a worker cannot go
    on, and starting it again would not help: only one that stands still beside a Kafka that answers does not answer.
    """

    def check_connect(url: str, timeout_seconds: float) -> Health:
        deadline = time.monotonic() + timeout_seconds
        found = _ask(url, "/connectors?expand=status", timeout_seconds / 2, _CONNECTORS_BYTES)
        try:
            health = _get(url, "/health", (deadline - time.monotonic()) / 2)
        except TimeoutError:
            health = None
        if health is not None and health.status == 503:
            return not_ready("it is starting")
        if health is None or health.status != 200:
            if brokers and _kafka(brokers, max(0.1, deadline - time.monotonic())).outcome == "fine":
                return no_answer("its worker does not go on, and Kafka answers")
            return not_ready("its worker waits for Kafka")
        if found.status != 200:
            return not_ready(f"/connectors: HTTP {found.status}")
        states = msgspec.json.decode(found.body, type=dict[str, _ConnectorEntry])
        problem = next(filter(None, (entry.status.problem for entry in states.values())), "")
        return not_ready(problem) if problem else FINE

    return check_connect


class _ConnectorEntry(msgspec.Struct):
    status: ConnectorStatus


def _service(older_path: str) -> Check:
    """Whether a service of ours progresses (`/livez`), and then whether it is ready (`/readyz`).

    A service that knows no `/livez` is an older one: what it says at `older_path` is all there is.
    """

    def check_service(url: str, timeout_seconds: float) -> Health:
        deadline = time.monotonic() + timeout_seconds
        alive = _get(url, "/livez", timeout_seconds)
        if alive.status not in (200, 404):
            return no_answer(f"/livez: {alive.status} {alive.text}")
        path = "/readyz" if alive.status == 200 else older_path
        try:
            return _ready(_get(url, path, deadline - time.monotonic()))
        except (OSError, http.client.HTTPException) as error:
            # It has answered once, so that it does not hang, whatever keeps it from saying whether it is ready.
            return not_ready(f"{path}: {type(error).__name__} {error}")

    return check_service


def _page(path: str) -> Check:
    return lambda url, timeout_seconds: _ready(_get(url, path, timeout_seconds))


def _answer(path: str) -> Check:
    def check_answer(url: str, timeout_seconds: float) -> Health:
        answer = _get(url, path, timeout_seconds)
        return FINE if answer.status < 500 else not_ready(f"HTTP {answer.status}")

    return check_answer


def _ready(answer: "_Answer") -> Health:
    """What a page about readiness says; the lines after its first one are notes for a person."""
    if answer.status == 200:
        return Health("fine", answer.notes)
    return not_ready(_in_words(answer.text) or f"HTTP {answer.status}")


def _in_words(text: str) -> str:
    """What a service is not ready for, where it says so in JSON: `kafka: no answer`."""
    try:
        said = msgspec.json.decode(text, type=dict[str, bool | str])
    except msgspec.MsgspecError:
        return text
    return ", ".join(f"{part}: {answer}" for part, answer in said.items() if part != "ready" and answer != "answers")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def text(self) -> str:
        """Its first line."""
        return _first_line(self.body.decode("utf-8", "replace"))

    @property
    def notes(self) -> str:
        """Its other lines."""
        lines = self.body.decode("utf-8", "replace").splitlines()[1:]
        return "; ".join(line.strip() for line in lines if line.strip())[:_REASON_CHARACTERS]


def _get(url: str, path: str, timeout_seconds: float) -> _Answer:
    """The start of a page; see `_ask`."""
    return _ask(url, path, timeout_seconds, _PAGE_BYTES)


def _ask(url: str, path: str, timeout_seconds: float, most_bytes: int) -> _Answer:
    """Ask by GET, without the proxies of the environment. Raises OSError or HTTPException where nobody answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=max(0.05, timeout_seconds))
    headers = {}
    if parts.username:
        credentials = f"{parts.username}:{parts.password or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return _Answer(response.status, response.read(most_bytes), response.headers)
    finally:
        connection.close()


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:_REASON_CHARACTERS]


_CHECKS: Final[Mapping[Protocol, Callable[[str], Check]]] = {
    "kafka": lambda path: _kafka,
    "mongo": lambda path: _mongo,
    "clickhouse": lambda path: _clickhouse,
    "clickhouse sql": lambda path: _clickhouse_elsewhere,
    "redis": lambda path: _redis,
    "connect": _connect,
    "service": _service,
    "page": _page,
    "answer": _answer,
}
