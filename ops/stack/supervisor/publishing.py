"""How others see a supervisor: through its state file and its beacon."""

import logging
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from ops.stack.state.beacon import Beacon, Request
from ops.stack.state.model import StackState, write_state
from ops.stack.state.requests import Requests, read_request, take_requests

HEARTBEAT_SECONDS: Final = 2.0
_LOG: Final = logging.getLogger("ops.stack.supervisor")


class Publisher:
    """Publishes the state at each tick, and collects what others ask for.

    The file is written when something changed, or when its heartbeat is old. A file that cannot be written stops
    nothing: the beacon has the state all the same, and says why there is no newer file.

    Args:
        data_dir: The stack's data folder.
        state: The first state.
    """

    def __init__(self, data_dir: Path, state: StackState) -> None:
        self._data_dir = data_dir
        self._state = state
        self._written: StackState | None = None
        self._write_problem = ""
        self._lock = threading.Lock()
        self._requests = Requests()
        try:
            Beacon(data_dir, lambda: self._state, self._take)
        except OSError as error:
            _LOG.warning("without a beacon, others see the state file only: %s", error)

    def publish(self, state: StackState, now: float) -> None:
        """Publish a state, with its heartbeat.

        Args:
            state: All but the heartbeat.
            now: Seconds of CLOCK_MONOTONIC.
        """
        self._state = replace(state, heartbeat=now, write_problem=self._write_problem)
        if self._is_written(now):
            return
        try:
            write_state(self._data_dir, replace(self._state, write_problem=""))
        except OSError as error:
            # A full disk must not take down what still works; the next tick tries again.
            if not self._write_problem:
                _LOG.error("the state cannot be written: %s", error.strerror)
            self._write_problem = error.strerror or str(error)
            return
        if self._write_problem:
            _LOG.info("the state can be written again")
        self._write_problem = ""
        self._written = replace(self._state, write_problem="")

    def take_requests(self) -> Requests:
        """What was asked for since the last call."""
        with self._lock:
            requests, self._requests = self._requests, Requests()
        return requests | take_requests(self._data_dir)

    def beat(self) -> None:
        """The supervisor lives, although it does something that takes long."""
        now = time.monotonic()
        if self._state.heartbeat is None or now - self._state.heartbeat >= HEARTBEAT_SECONDS / 2:
            self.publish(self._state, now)

    def _is_written(self, now: float) -> bool:
        last = self._written
        if last is None or last.heartbeat is None or now - last.heartbeat >= HEARTBEAT_SECONDS:
            return False
        return replace(last, heartbeat=now) == self._state

    def _take(self, request: Request) -> None:
        with self._lock:
            self._requests |= read_request(os.path.basename(request.name), request.content)
