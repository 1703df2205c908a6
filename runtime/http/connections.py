"""Connection limits: a bound per address, and eviction of idle connections when all are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from marketplace.clicks.client_address import bucket_name, is_trusted
from marketplace.networks import Network

Reason = Literal["address", "total"]
"""Which bound a connection was closed for."""


class Connection(Protocol):
    """One connection of a client."""

    @property
    def idle(self) -> bool:
        """Whether no request is being answered on it."""

    def close_idle(self) -> None:
        """Close it; only called while it is idle."""


class Connections:
    """The open connections by address; IPv6 addresses are grouped by /64.

    For an address at its bound, the oldest idle connection is closed for the new one; where none is idle, the new one
    is refused. When all connections are taken, the oldest idle one of the address that has the most is closed. Trusted
    proxies have no bound and are never closed: all clients come through them.

    Args:
        most: All connections together.
        most_per_address: Those of one address.
        trusted: The proxies.
        closed: Called with the reason whenever a connection is closed or refused.
    """

    def __init__(
        self,
        most: int,
        most_per_address: int,
        trusted: Sequence[Network] = (),
        closed: Callable[[Reason], None] = lambda reason: None,
    ) -> None:
        self._most, self._most_per_address = most, most_per_address
        self._trusted, self._closed = trusted, closed
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._exempt: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._exempt) + sum(map(len, self._by_address.values()))

    def admit(self, connection: Connection, peer: str) -> bool:
        """Add a connection; returns False where its address may not have another.

        Args:
            connection: Must be passed to :meth:`remove` when it is lost, admitted or not.
            peer: The other end's address; empty for a UNIX socket.
        """
        if not peer or is_trusted(peer, self._trusted):
            self._exempt.add(connection)
            return True
        name = bucket_name(peer)
        own = self._by_address.get(name, {})
        if len(own) >= self._most_per_address:
            self._closed("address")
            if not self._close_one(name):
                return False
        elif len(self) >= self._most:
            for busiest in sorted(self._by_address, key=lambda address: len(self._by_address[address]), reverse=True):
                if self._close_one(busiest):
                    self._closed("total")
                    break
        self._by_address.setdefault(name, {})[connection] = None
        return True

    def remove(self, connection: Connection, peer: str) -> None:
        """Remove a connection; an unknown one is ignored."""
        self._exempt.discard(connection)
        name = bucket_name(peer)
        own = self._by_address.get(name)
        if own is not None:
            own.pop(connection, None)
            if not own:
                del self._by_address[name]

    def _close_one(self, name: str) -> bool:
        own = self._by_address[name]
        oldest = next((connection for connection in own if connection.idle), None)
        if oldest is None:
            return False
        del own[oldest]
        oldest.close_idle()
        if not own:
            del self._by_address[name]
        return True
