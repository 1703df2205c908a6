"""Failed authentication: librdkafka keeps reconnecting for ever, and says why in a callback only."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from connectors.errors import Refused, Unavailable

_CODES: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
_ELAPSED: Final = re.compile(r" \(after \d+ms in state \w+[^)]*\)")
_FIRST_TRY_SECONDS: Final = 0.5
_PERSISTENT_SECONDS: Final = 10.0
_STREAK_GAP_SECONDS: Final = 5.0
"""The client reconnects within a second or so: after so long without a failure, the next one is a new streak."""

_Client = TypeVar("_Client")
_Result = TypeVar("_Result")


class AuthenticationFailed(Unavailable):
    """A broker does not accept the user, or the client does not accept the broker's certificate.

    It is a kind of being unavailable: a user may be created, and a certificate be replaced, while a process waits.
    """


def authentication_failure(error: KafkaError) -> str:
    """What to say of a failed authentication; empty for any other error. librdkafka puts no password into it."""
    return f"Kafka authentication failed: {_ELAPSED.sub('', error.str())}" if error.code() in _CODES else ""


def new_client(kind: Callable[[dict[str, Any]], _Client], config: Mapping[str, Any]) -> _Client:
    """A client of librdkafka.

    Args:
        kind: Its class.
        config: What :func:`connectors.kafka.client_config.client_config` returns.

    Raises:
        Refused: librdkafka does not take the settings, such as a file of certificates that has none in it.
    """
    try:
        return kind(dict(config))
    except KafkaException as error:
        raise Refused(f"no client of Kafka can be made: {error.args[0].str()}") from None


class AuthenticationWatch:
    """Notices that one client's connections fail to authenticate. Safe to share between threads.

    Args:
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._reason, self._failures = "", 0
        self._first_at = self._last_at = float("-inf")
        self._connected = False

    @property
    def connected(self) -> bool:
        """Whether a question has succeeded yet."""
        return self._connected

    def on_error(self, error: KafkaError) -> None:
        """The client's ``error_cb``."""
        reason, now = authentication_failure(error), self._monotonic()
        if not reason:
            return
        if now - self._last_at > _STREAK_GAP_SECONDS:
            self._first_at = now
        self._reason, self._last_at = reason, now
        self._failures += 1

    def ask(self, question: Callable[[float], _Result], serve: Callable[[], object], seconds: float) -> _Result:
        """Ask a question; before the first one that succeeds, in tries that get longer, to look for failures between.

        Args:
            question: Given the seconds that it may take.
            serve: Lets the client call its callbacks without waiting.
            seconds: How long all tries together may take.

        Raises:
            AuthenticationFailed: Soon after the first connection, or else after the time.
            KafkaException: As the question raises it.
        """
        deadline = self._monotonic() + seconds
        try_seconds = seconds if self._connected else min(_FIRST_TRY_SECONDS, seconds)
        while True:
            # What failed before belongs to the past: it may wait in the client's queue since an hour ago.
            serve()
            failures = self._failures
            try:
                found = question(try_seconds)
            except KafkaException:
                serve()
                if self._failures > failures:
                    raise AuthenticationFailed(self._reason) from None
                left_seconds = deadline - self._monotonic()
                if left_seconds <= 0:
                    raise
                try_seconds = min(2 * try_seconds, left_seconds)
            else:
                self._connected = True
                return found

    def check(self) -> None:
        """Raise what keeps all connections from being used; a single failure while a broker restarts does not.

        Raises:
            AuthenticationFailed: Authentication has been failing for ten seconds, and still is.
        """
        still = self._monotonic() - self._last_at <= _STREAK_GAP_SECONDS
        if still and self._last_at - self._first_at >= _PERSISTENT_SECONDS:
            raise AuthenticationFailed(self._reason)
