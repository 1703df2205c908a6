"""Free ports of this machine."""

from __future__ import annotations

import random
import socket
from typing import Final

_HOST: Final = "127.0.0.1"
_RANGE: Final = range(20_000, 27_000)
"""Below the ports that Linux gives to outgoing connections (``ip_local_port_range``, from 32768): one of those may be
taken by any client in the moment between the choice and the start of the server."""

_TRIES: Final = 1_000


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different.

    Raises:
        OSError: There are not so many.
    """
    found: list[int] = []
    with_listeners: list[socket.socket] = []
    try:
        for port in random.sample(_RANGE, min(_TRIES, len(_RANGE))):
            if len(found) == count:
                break
            probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            with_listeners.append(probe)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            found.append(port)
    finally:
        for probe in with_listeners:
            probe.close()
    if len(found) < count:
        raise OSError(f"no {count} free ports from {_RANGE.start} to {_RANGE.stop}")
    return found
