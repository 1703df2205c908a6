"""Errors by which a message handler decides what happens to the message.

A handler that returns has handled its message. Otherwise it raises one of these; any other error is a bug or an
unforeseen outage, and stops the consumer with the offset unchanged. All of them survive pickling with their data.
"""

from __future__ import annotations

from typing import Final, Self

MAX_RETRY_SECONDS: Final = 3_600.0


class Action(Exception):
    """A decision about the current message."""

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), self._data()

    def _data(self) -> tuple[object, ...]:
        raise NotImplementedError


class Retry(Action):
    """The message is handled again later: its partition pauses and its offset stays; other partitions go on.

    For temporary causes: a lock that another process has, a limit of a payment provider. Attempts are not limited: a
    handler that wants a limit counts them, and raises :class:`Reject`.

    Args:
        after_seconds: How long the partition pauses, clamped to 0 to one hour.
        reason: The reason, as a sentence for operators.
    """

    def __init__(self, after_seconds: float, reason: str = "") -> None:
        super().__init__(f"retry in {after_seconds:g} s" + (f": {reason}" if reason else ""))
        # Comparisons with NaN are false: it becomes 0.
        self.after_seconds = min(after_seconds, MAX_RETRY_SECONDS) if after_seconds > 0 else 0.0
        self.reason = reason

    def _data(self) -> tuple[object, ...]:
        return self.after_seconds, self.reason


class Reject(Action):
    """The message goes to the dead-letter topic with its exact bytes and the reason, and its partition goes on.

    For causes that no retry can change: a body that cannot be parsed, an order that does not exist. The offset moves
    only after the dead letter is acknowledged.

    Args:
        reason: One of few lower-case codes, for counting.
        detail: The reason, as a sentence.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def _data(self) -> tuple[object, ...]:
        return self.reason, self.detail


class Stop(Action):
    """The consumer stops at once with an error; the message's offset stays, so it is the first after the next start.

    For causes that make it dangerous to go on: a newer schema, a violated invariant.

    Args:
        reason: Why, as a sentence for operators.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def _data(self) -> tuple[object, ...]:
        return (self.reason,)
