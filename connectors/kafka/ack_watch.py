"""Whether Kafka acknowledges what waits for it, so that callers need not wait for a broker that is stuck."""

from __future__ import annotations

import threading
from typing import Final

from connectors.kafka.records import AuthenticationFailed, Unavailable

PROBE_SECONDS: Final = 2.0
_LONGEST_STEP_SECONDS: Final = 0.5
_UNAUTHENTICATED_SECONDS: Final = 0.5


class AckWatch:
    """Kafka is stuck once nothing was acknowledged for some time while something was waiting all that time.

    It stays stuck until something is acknowledged; meanwhile one call at a time is let through as a probe. A Kafka that
    is slow but acknowledges something now and then is not stuck. Safe to share between threads; the time is passed in.

    A process that did not run for a while (stopped, or out of CPU) has seen no acknowledgement because it did not look:
    of the time between two looks, only the first half second counts as silence.

    Where authentication fails, half a second without an acknowledgement is enough: one of several brokers may fail it
    while the others acknowledge.

    Args:
        stuck_seconds: How long nothing has to be acknowledged; infinity for never.
        probe_seconds: How long a probe keeps others from probing.

    Attributes:
        acked: Set it to True at each acknowledgement; a bare attribute, because there is one for every record.
        stuck: Whether Kafka is stuck, as of the last look.
    """

    def __init__(self, stuck_seconds: float, probe_seconds: float = PROBE_SECONDS) -> None:
        self._stuck_seconds, self._probe_seconds = stuck_seconds, probe_seconds
        self._lock = threading.Lock()
        self._waiting = 0
        self._silent_seconds = 0.0
        self._looked_at = 0.0
        self._probe_until = float("-inf")
        self._unauthenticated = ""
        self.acked = False
        self.stuck = False

    def admit(self, now: float) -> bool:
        """Let a call through, or not; returns whether it is a probe.

        Args:
            now: Seconds of a monotonic clock, as for all methods.

        Raises:
            Unavailable: Kafka is stuck, and another call is the probe.
        """
        if not self.stuck:
            return False
        with self._lock:
            self._note_acks()
            if not self.stuck:
                return False
            if now < self._probe_until:
                raise self.failure()
            self._probe_until = now + self._probe_seconds
            return True

    def began(self, now: float) -> None:
        """A call waits for acknowledgements from now on."""
        with self._lock:
            if not self._waiting:
                self._silent_seconds, self._looked_at = 0.0, now
            self._waiting += 1

    def ended(self) -> None:
        """A call waits no more."""
        with self._lock:
            self._waiting -= 1

    def look(self, now: float) -> bool:
        """Take stock, after acknowledgements were taken in; returns whether Kafka is stuck."""
        with self._lock:
            elapsed_seconds, self._looked_at = now - self._looked_at, now
            if self.acked:
                self._note_acks()
            elif self._waiting:
                self._silent_seconds += min(elapsed_seconds, _LONGEST_STEP_SECONDS)
                if self._silent_seconds >= self._allowed_seconds():
                    self.stuck = True
            return self.stuck

    def authentication_failed(self, reason: str) -> None:
        """A connection failed to authenticate; forgotten at the next acknowledgement."""
        self._unauthenticated = reason

    def failure(self) -> Unavailable:
        """The error of all that wait while Kafka is stuck."""
        reason = self._unauthenticated
        return AuthenticationFailed(reason) if reason else Unavailable("Kafka acknowledges nothing")

    def _allowed_seconds(self) -> float:
        return min(self._stuck_seconds, _UNAUTHENTICATED_SECONDS) if self._unauthenticated else self._stuck_seconds

    def _note_acks(self) -> None:
        if self.acked:
            self.acked = self.stuck = False
            self._unauthenticated = ""
            self._silent_seconds, self._probe_until = 0.0, float("-inf")
