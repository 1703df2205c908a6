"""The ClickHouse engine inside this process, and which of its connections a request runs on.

A connection runs one query at a time, several connections run side by side. Opening one takes a millisecond, so an
idle one is kept for the next request; a session of the HTTP interface is a connection with a name.
"""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from ops.stack.clickhouse_http.config import write_config
from ops.stack.clickhouse_http.connection import Answer, Connection
from ops.stack.clickhouse_http.errors import CANNOT_OPEN_FILE, READONLY, SESSION_IS_LOCKED, QueryError
from ops.stack.clickhouse_http.request import QueryRequest
from ops.stack.clickhouse_http.sql import parse

_IDLE_CONNECTIONS: Final = 16
_MOST_SESSIONS: Final = 256
_SESSION_TIMEOUT_SECONDS: Final = 60.0


class _Session:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.Lock()
        self.used_at = time.monotonic()


class Engine:
    """The engine on one data folder; only one process at a time can own the folder.

    `run` may be called from several threads at once.

    Args:
        data_dir: the engine's own folder; created when missing.
        fsync: whether an insert is on disk before it is acknowledged.
        max_execution_seconds: the time limit of a query that sets none.

    Raises:
        QueryError: another process owns the folder, or what is in it cannot be read.
    """

    def __init__(self, data_dir: Path, *, fsync: bool = True, max_execution_seconds: int = 300) -> None:
        data_dir = data_dir.resolve()
        data_dir.mkdir(parents=True, exist_ok=True)
        self._owner = _own(data_dir)
        config = write_config(data_dir, fsync=fsync, max_execution_seconds=max_execution_seconds)
        self._url = f"{quote(str(data_dir))}?config-file={quote(str(config))}"
        self._profile = {"max_execution_time": str(max_execution_seconds)}
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._sessions: dict[str, _Session] = {}
        self._keeper = self._connect()
        self.version = self._keeper.query("SELECT version()").body.decode().strip()
        self.timezone = self._keeper.query("SELECT timezone()").body.decode().strip()

    def run(self, request: QueryRequest) -> Answer:
        """Run one request to its end.

        Raises:
            QueryError: with the engine's code and text.
        """
        statement = parse(request.query)
        settings = dict(request.settings)
        if request.read_only and settings.setdefault("readonly", "2") not in ("1", "2"):
            raise QueryError(READONLY, "Cannot modify 'readonly' setting in readonly mode", "READONLY")
        # The parameters of an insert with data stay with its connection.
        keep = statement.stateless and not (request.parameters and statement.data_format)
        with self._connection(request, settings, keep=keep) as connection:
            connection.prepare(request.database, settings)
            return connection.run(request, statement)

    def close(self) -> None:
        """Close every connection; the engine then writes out what it holds."""
        with self._lock:
            connections = [*self._idle, *(session.connection for session in self._sessions.values()), self._keeper]
            self._idle.clear()
            self._sessions.clear()
        for connection in connections:
            connection.close()
        self._owner.close()

    @contextmanager
    def _connection(self, request: QueryRequest, settings: dict[str, str], *, keep: bool) -> Iterator[Connection]:
        if request.session_id:
            with self._session(request.session_id) as connection:
                yield connection
            return
        connection = self._take(request.database, settings)
        finished = False
        try:
            yield connection
            finished = True
        except QueryError:
            finished = connection.fits(request.database, settings)
            raise
        finally:
            self._release(connection if keep and finished else None, connection)

    def _take(self, database: str, settings: dict[str, str]) -> Connection:
        with self._lock:
            for place in reversed(range(len(self._idle))):
                if self._idle[place].fits(database, settings):
                    return self._idle.pop(place)
            oldest = self._idle.pop(0) if len(self._idle) >= _IDLE_CONNECTIONS else None
        if oldest is not None and oldest.read_only:
            oldest.close()
            oldest = None
        return oldest or self._connect()

    def _release(self, reusable: Connection | None, connection: Connection) -> None:
        if reusable is None:
            connection.close()
            return
        with self._lock:
            self._idle.append(reusable)

    @contextmanager
    def _session(self, name: str) -> Iterator[Connection]:
        """Raises `QueryError` when the session is in use: its statements have an order."""
        with self._lock:
            expired = self._expired_sessions()
            session = self._sessions.get(name)
            if session is None:
                session = self._sessions[name] = _Session(self._connect())
            if not session.lock.acquire(blocking=False):
                raise QueryError(
                    SESSION_IS_LOCKED, f"Session {name} is locked by a concurrent client", "SESSION_IS_LOCKED"
                )
        try:
            for old in expired:
                old.close()
            yield session.connection
        finally:
            session.used_at = time.monotonic()
            session.lock.release()

    def _expired_sessions(self) -> list[Connection]:
        """Take the sessions nobody used for a while out of the table. The caller holds the lock."""
        now = time.monotonic()
        idle = sorted((name for name, s in self._sessions.items() if not s.lock.locked()), key=self._used_at)
        surplus = len(self._sessions) - _MOST_SESSIONS
        expired = [
            name
            for place, name in enumerate(idle)
            if place <= surplus or now - self._used_at(name) > _SESSION_TIMEOUT_SECONDS
        ]
        return [self._sessions.pop(name).connection for name in expired]

    def _used_at(self, name: str) -> float:
        return self._sessions[name].used_at

    def _connect(self) -> Connection:
        return Connection(self._url, self._profile)


def _own(data_dir: Path) -> IO[str]:
    """Claim the folder for this process, before anything in it is touched; released when the file is closed."""
    file = (data_dir / "owner.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        text = f"{data_dir} belongs to another process that is running"
        raise QueryError(CANNOT_OPEN_FILE, text, "CANNOT_OPEN_FILE") from None
    return file
