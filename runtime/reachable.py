"""Which parts a process cannot reach at its start: it goes on, and somebody should hear of it before a client does."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_TRY_SECONDS: Final = 1.0
_USUAL_PORTS: Final = {"mongodb": 27017, "redis": 6379, "rediss": 6379, "http": 80, "https": 443}


def places_of(url: str) -> list[tuple[str, int]]:
    """Hosts and ports of a part's URL or bootstrap list; none where they are not said, as by DNS or a socket's file.

    Args:
        url: It may have a user and a password, of which nothing is in the answer.
    """
    scheme, _, rest = url.rpartition("://")
    if scheme in ("unix", "mongodb+srv"):
        return []
    found = []
    for place in rest.partition("/")[0].rpartition("@")[2].split(","):
        parts = urlsplit(f"//{place}")
        port = parts.port or _USUAL_PORTS.get(scheme)
        if parts.hostname and port:
            found.append((parts.hostname, port))
    return found


def unreachable(urls: Mapping[str, str]) -> dict[str, str]:
    """Parts none of whose places takes a connection, with these places.

    Args:
        urls: Of parts, by their names.
    """
    found = {}
    for part, url in urls.items():
        places = places_of(url)
        if places and not any(_takes_connections(*place) for place in places):
            found[part] = ", ".join(f"{host}:{port}" for host, port in places)
    return found


def warn_of_unreachable(
    urls: Mapping[str, str], log: logging.Logger, patience_seconds: float = 5.0
) -> threading.Thread:
    """Say once, from a thread of its own, which parts cannot be reached some seconds after a start.

    Args:
        urls: Of parts, by their names.
        log: Where it is said.
        patience_seconds: For parts that start at the same time.
    """

    def watch() -> None:
        deadline = time.monotonic() + patience_seconds
        while (missing := unreachable(urls)) and time.monotonic() < deadline:
            time.sleep(_TRY_SECONDS)
        for part, places in missing.items():
            log.warning("%s cannot be reached: nobody takes a connection at %s", part, places)

    thread = threading.Thread(target=watch, name="reachable", daemon=True)
    thread.start()
    return thread


def _takes_connections(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_TRY_SECONDS):
            return True
    except OSError:
        return False
