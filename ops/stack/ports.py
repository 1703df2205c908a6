"""Ports of this machine: who has them, and which are free."""

import errno
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
HIGHEST_PORT: Final = 65_535
_LISTEN: Final = "0A"


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One port of a part or a service.

    Attributes:
        name: as in the state file; the first port of a process has the process's name.
        default: the usual one; None where there is none.
        after: the name of the port that it follows, where it follows one.
        distance: how far behind that.
        gives_way: no client knows it, so that another is taken where somebody has it.
    """

    name: str
    default: int | None = None
    after: str = ""
    distance: int = 1
    gives_way: bool = False


def is_free(port: int) -> bool:
    """Whether there is such a port and a server could listen on it now."""
    if not 0 < port <= HIGHEST_PORT:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def owner(port: int) -> str | None:
    """Who listens on a port, as `name (pid)`; `None` when this user may not know."""
    inodes = set(_listening_inodes(port))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and inodes & set(_socket_inodes(entry)):
            name = (entry / "comm").read_text().strip()
            return f"{name} (pid {entry.name})"
    return None


def _listening_inodes(port: int) -> Iterable[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _socket_inodes(process: Path) -> Iterable[str]:
    try:
        for link in (process / "fd").iterdir():
            target = os.readlink(link)
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return
