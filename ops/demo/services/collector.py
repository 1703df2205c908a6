"""A collector as a child process, restarted when it exits; it ends with the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Final

from ops.stack.ports import HOST
from runtime import supervision
from runtime.parent_death import guarded
from runtime.ports import free_ports
from runtime.sections import Settings
from runtime.settings import with_values
from runtime.supervision import Supervised

_ROOT: Final = Path(__file__).resolve().parents[3]
_STOP_SECONDS: Final = 8.0


class CollectorFailed(Exception):
    """The collector does not come up; the message names its log."""


class Collector:
    """A supervised collector on a free loopback port; it trusts ``X-Forwarded-For`` from this machine.

    Args:
        settings: The URLs and the database.
        log: The log file.
        port: The port; 0 takes a free one, which restarts keep.
    """

    def __init__(self, settings: Settings, log: Path, port: int = 0) -> None:
        self._settings, self._log_path = settings, log
        free = free_ports(2)
        self.host, self.port, self._admin_port = HOST, port or free[0], free[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._life: Supervised = supervision.started(_now_ms())
        self.restarts = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it without waiting. Call from the main thread: the child dies with the thread that forked it."""
        if self._log is None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log = self._log_path.open("ab")
        own = {
            **self._settings.urls.environment(),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
            "MARKETPLACE_DATABASE": self._settings.database,
            "MARKETPLACE_COLLECTOR_HOST": self.host,
            "MARKETPLACE_COLLECTOR_PORT": str(self.port),
            "MARKETPLACE_COLLECTOR_ADMIN_PORT": str(self._admin_port),
            "MARKETPLACE_COLLECTOR_TRUSTED_PROXIES": "127.0.0.1/32",
        }
        environment = with_values(os.environ, own)
        command = guarded([sys.executable, "-m", "ingest"], os.getpid())
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_ready(self, timeout_seconds: float = 30.0) -> None:
        """Wait until it is ready: it answers and reaches Kafka.

        Raises:
            CollectorFailed: It is not ready in time, or has exited.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._ready():
            if self.pid is None or time.monotonic() > deadline:
                raise CollectorFailed(f"the collector does not come up; see {self._log_path}")
            time.sleep(0.05)

    def watch(self) -> None:
        """Restart it if it has exited, after a growing pause; call this a few times a second."""
        if self._process is None:
            return
        code = self._process.poll()
        if code is None:
            self._life = supervision.healthy(self._life, _now_ms())
        elif self._life.resume_at_ms is None:
            self._life = supervision.exited(self._life, _now_ms(), code)
        elif supervision.is_due(self._life, _now_ms()):
            self._life = supervision.restarted(self._life, _now_ms())
            self.restarts = self._life.restarts
            self.start()

    def stop(self) -> None:
        """Let it finish its requests, then end it."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._admin_port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
