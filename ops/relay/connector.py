"""Keeps a connector running: what has failed is started again, and what cannot go on is sent again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connectors.debezium.client import Connect
from connectors.debezium.declared import Connector
from connectors.debezium.statuses import ConnectorStatus
from connectors.errors import Unavailable
from marketplace.relay import Restarts, is_history_lost

log = logging.getLogger("ops.relay")

_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1

STOPPED_SECONDS: Final = 90.0
"""Longer than all deadlines of :func:`restart` together: whoever stopped a connector to let it begin again is over by
then, done or dead."""


@dataclass(frozen=True)
class Seen:
    """What the watch knows of its connector.

    Attributes:
        problem: Why it does not run; empty while it does.
        restarts: How often a failed task was started again.
        resends: How often all of it was sent again.
        note: What an operator should know although it runs.
    """

    problem: str = "nobody has looked yet"
    restarts: int = 0
    resends: int = 0
    note: str = ""


class ConnectorWatch:
    """Looks after one connector, one look after the other; :attr:`seen` may be read by any thread.

    Where the connector is missing, it is put there. A failed task is started again, sooner at first than later. Where
    Mongo no longer has the changes that it would go on with, all rows that are there are sent once more, which those
    who read them notice by the events' ids: no row is missing then but those that have expired, which is logged.

    A connector that stays stopped is resumed after a minute and a half: whoever sends everything again stops it for
    moments, and may be killed before it goes on. One that is paused stays so for as long as this process runs.

    Args:
        connect: Kafka Connect.
        connector: What to look after.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, connect: Connect, connector: Connector, clock: Callable[[], float] = time.monotonic) -> None:
        self._connect, self._connector, self._clock = connect, connector, clock
        self._restarts, self._resends, self._resending = Restarts(), 0, False
        self._problem, self._note, self._first = Seen.problem, "", True
        self._stopped_since: float | None = None
        self._lock = threading.Lock()

    @property
    def seen(self) -> Seen:
        """What the latest look found."""
        with self._lock:
            return Seen(self._problem, self._restarts.count, self._resends, self._note)

    def look(self) -> None:
        """Look once, and do what is due.

        Raises:
            Unavailable: Connect does not answer.
            Refused: Connect does not take the connector.
        """
        try:
            status = self._connect.status(self._connector.name)
            if status is None and self._connect.config(self._connector.name) is None:
                log.warning("connector %s is missing: it is put there", self._connector.name)
                self._connect.put(self._connector.name, self._connector.config)
            elif status is not None:
                self._follow(status)
        except Unavailable as error:
            self._say(str(error), self._restarts.stands())
            raise

    def check_config(self) -> None:
        """Note whether the connector is another than the declared one.

        Raises:
            Unavailable: Connect does not answer.
        """
        actual = self._connect.config(self._connector.name)
        differs = actual is not None and actual != dict(self._connector.config)
        with self._lock:
            self._note = "it differs from its file; see 'marketplace relay status'" if differs else ""

    def _follow(self, status: ConnectorStatus) -> None:
        now = self._clock()
        stopped = self._stopped(status, now)
        if status.running:
            if self._problem:
                log.info("connector %s and its task run", status.name)
            self._resending, self._first = False, False
            self._say("", self._restarts.runs(now))
            return
        self._say(status.problem, self._restarts.stands())
        traces = [task.trace for task in status.failed]
        failed = bool(traces) or status.state == "FAILED"
        if self._resending or (failed and any(map(is_history_lost, traces))):
            if self._restarts.is_due(now):
                self._resend(status, now)
        elif failed:
            if self._restarts.is_due(now):
                log.error("%s; it is started again", status.problem)
                self._connect.restart_failed(status.name)
                self._say(status.problem, self._restarts.restarted(now))
        elif stopped >= STOPPED_SECONDS or (self._first and status.state in ("STOPPED", "PAUSED")):
            # Where this process starts, the connector is to run: one that ended between two steps left it like this.
            log.warning("connector %s is %s: it is resumed", status.name, status.state.lower())
            self._connect.resume(status.name)
        self._first = False

    def _stopped(self, status: ConnectorStatus, now: float) -> float:
        """For how long it has been seen stopped."""
        if status.state != "STOPPED":
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        return 0.0 if self._stopped_since is None else now - self._stopped_since

    def _resend(self, status: ConnectorStatus, now: float) -> None:
        """Let the connector begin with what is in the collection; each step may be done again."""
        if not self._resending:
            log.error("%s", status.problem)
            log.error(
                "Mongo no longer has the changes that connector %s has to go on with. All rows of its collection are "
                "sent again; rows that have expired unsent are lost, and 'marketplace reconcile' names them",
                status.name,
            )
        self._resending = True
        restart(self._connect, status.name)
        self._resends += 1
        self._resending = False
        self._say(status.problem, self._restarts.resent(now))

    def _say(self, problem: str, restarts: Restarts) -> None:
        with self._lock:
            self._problem, self._restarts = problem, restarts


def restart(connect: Connect, name: str) -> None:
    """Let a connector start as if for the first time: it sends all that is in its collection, and goes on from there.

    Raises:
        Unavailable: Connect does not answer, or does not stop it in time.
        Refused: There is no such connector.
    """
    connect.stop(name)
    try:
        deadline = time.monotonic() + _STOP_SECONDS
        while (status := connect.status(name)) is None or status.state != "STOPPED" or status.tasks:
            if time.monotonic() > deadline:
                raise Unavailable(f"Kafka Connect does not stop connector {name}")
            time.sleep(_POLL_SECONDS)
        connect.forget_place(name)
    finally:
        # Whatever ended this, it goes on; after a kill it is the watch that lets it.
        connect.resume(name)
