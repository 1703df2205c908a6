"""Whether a part really answers: each check speaks the part's own protocol and uses its ordinary client."""

import base64
import socket
import urllib.request
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from ops.stack.model import Part

#: What a client may raise when its server is away: their own errors derive from these or are wrapped below.
Check = Callable[[str, float], None]


class NotHealthyError(Exception):
    """The part does not answer as it should; the text says what is wrong. Ask again later."""


def check(part: Part, url: str, timeout_seconds: float) -> None:
    """Check one part.

    Raises:
        NotHealthyError: it is not ready to serve.
    """
    try:
        _CHECKS[part](url, timeout_seconds)
    except NotHealthyError:
        raise
    except Exception as error:
        # Every client has its own family of errors; whatever it is, the part is not healthy, and the text is shown.
        raise NotHealthyError(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from error


def _kafka(url: str, timeout_seconds: float) -> None:
    for address in url.split(","):
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=timeout_seconds).close()
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": url, "log_level": 0, "reconnect.backoff.max.ms": 200})
    metadata = client.list_topics(timeout=timeout_seconds)
    if metadata.controller_id < 0:
        raise NotHealthyError("the cluster has no controller")
    answering = {f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()}
    missing = [address for address in url.split(",") if address.startswith("127.0.0.1:") and address not in answering]
    if missing:
        raise NotHealthyError(f"the controller does not count on {', '.join(missing)} yet")


def _mongo(url: str, timeout_seconds: float) -> None:
    from pymongo import MongoClient

    milliseconds = int(timeout_seconds * 1000)
    client: MongoClient[dict[str, object]] = MongoClient(
        url, serverSelectionTimeoutMS=milliseconds, connectTimeoutMS=milliseconds, socketTimeoutMS=milliseconds
    )
    with client:
        client.admin.command("ping")
        if not client.admin.command("hello").get("isWritablePrimary"):
            raise NotHealthyError("there is no primary")


def _clickhouse(url: str, timeout_seconds: float) -> None:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    request = urllib.request.Request(f"{parts.scheme}://{parts.hostname}{port}/?query={quote('SELECT 1')}")
    if parts.username:
        credentials = f"{parts.username}:{parts.password or ''}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(credentials).decode()}")
    with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
        answer = response.read(100)
    if answer.strip() != b"1":
        raise NotHealthyError(f"SELECT 1 gave {answer!r}")


def _redis(url: str, timeout_seconds: float) -> None:
    import redis

    client = redis.Redis.from_url(url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds)
    try:
        if not client.ping():
            raise NotHealthyError("no PONG")
    finally:
        client.close()


def _http(path: str) -> Check:
    def check_http(url: str, timeout_seconds: float) -> None:
        with urllib.request.urlopen(f"{url}{path}", timeout=timeout_seconds):
            return

    return check_http


_CHECKS: Final[Mapping[Part, Check]] = {
    "kafka": _kafka,
    "mongo": _mongo,
    "clickhouse": _clickhouse,
    "redis": _redis,
    "flow": _http("/healthz"),
    "collector": _http("/readyz"),
    "dashboard": _http("/_stcore/health"),
    "traffic": _http("/healthz"),
}
