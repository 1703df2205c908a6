"""A value that is expensive to compute, shared by all callers and refreshed in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from connectors.errors import Refused, Unavailable

log = logging.getLogger(__name__)

_PATIENCE_SECONDS: Final = 1.0
_PAUSE_PER_QUESTION: Final = 20
"""Refreshing takes at most a twentieth of the time, however long one refresh takes."""

_Answer = TypeVar("_Answer")


class SharedAnswer(Generic[_Answer]):
    """A value that is refreshed when it is old, by a separate thread, so that no caller waits for long.

    Args:
        ask: Asks.
        seconds: The age at which it is refreshed; a value that takes long to compute may be older.
        monotonic: Seconds of a monotonic clock.
        patience_seconds: How long :meth:`get` waits for a refresh that is running.
    """

    def __init__(
        self,
        ask: Callable[[], _Answer],
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._ask, self._seconds, self._monotonic = ask, seconds, monotonic
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._answer: _Answer | None = None
        self._again_at = float("-inf")

    def get(self) -> _Answer | None:
        """The value, seconds old at most if the part responds in time; None while it does not respond."""
        with self._lock:
            if self._asking is None and self._monotonic() >= self._again_at:
                self._asking = threading.Thread(target=self._refresh, name="metrics", daemon=True)
                self._asking.start()
            asking = self._asking
        if asking is not None:
            asking.join(self._patience_seconds)
        return self._answer

    def _refresh(self) -> None:
        began, answer = self._monotonic(), None
        try:
            answer = self._ask()
        except (Unavailable, Refused) as error:
            log.warning("no numbers: %s", error)
        finally:
            ended = self._monotonic()
            with self._lock:
                self._answer, self._asking = answer, None
                self._again_at = ended + max(self._seconds, _PAUSE_PER_QUESTION * (ended - began))
