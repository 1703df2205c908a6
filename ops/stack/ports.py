"""Which ports the parts get: asked for, remembered from the last time, or free ones."""

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError
from ops.stack.model import PORT_VARIABLES, TITLES, Part

HOST: Final = "127.0.0.1"
_LISTEN: Final = "0A"


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
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


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def owner(port: int) -> str | None:
    """Who listens on a port, as `name (pid)`; `None` when this user may not know."""
    inodes = set(_listening_inodes(port))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and inodes & set(_socket_inodes(entry)):
            name = (entry / "comm").read_text().strip()
            return f"{name} (pid {entry.name})"
    return None


def check_free(ports: Mapping[str, tuple[Part, int]]) -> None:
    """Make sure that every part can listen.

    Args:
        ports: by process name, the part and its port.

    Raises:
        StackError: a port is taken; it names the part, the port, its owner and the way out.
    """
    seen: dict[int, str] = {}
    for name, (part, port) in ports.items():
        if port in seen:
            raise StackError(
                f"{name} and {seen[port]} cannot both listen on port {port}: choose another with --{part}-port"
            )
        seen[port] = name
        if not is_free(port):
            who = owner(port)
            raise StackError(
                f"{TITLES[part]} cannot listen on port {port}: it is taken{f' by {who}' if who else ''}. "
                f"Choose another with --{part}-port or {PORT_VARIABLES[part]}, or free ones with --ports auto"
            )


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
