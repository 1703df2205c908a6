"""The relay of the outbox: what is known of its way to Kafka, and when a task that failed is started again.

Everything is pure; times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

RELAY_AGGREGATE: Final = "relay"
"""The aggregate of canaries, whose topic is ``relay.events.v1``."""

CANARY_SECONDS: Final = 5.0
"""The pause between two canaries."""

READY_LAG_SECONDS: Final = 30.0
"""A relay that is further behind is not ready."""

_MOST_WAITING: Final = 20
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_STEADY_SECONDS: Final = 60.0
_LOST: Final = ("no longer available on the server", "ChangeStreamHistoryLost", "may no longer be in the oplog")


class Canary(msgspec.Struct, frozen=True):
    """The payload of a canary: a row of the outbox that no service reads, written to see when it arrives."""

    id: str


def encode_canary(canary: Canary) -> bytes:
    """A canary's payload as JSON."""
    return msgspec.json.encode(canary)


def canary_of(value: bytes | None) -> Canary | None:
    """The canary of a record; None for what is none."""
    try:
        return msgspec.json.decode(value or b"", type=Canary)
    except (msgspec.MsgspecError, RecursionError):
        return None


@dataclass(frozen=True)
class Lag:
    """How far the relay is behind, which can never stand still at a good number.

    It is judged by canaries that arrived: while none arrives, whatever the reason is, it grows with the time. Asking
    Connect or its connector would not do: they repeat what was true when the last row passed.

    Attributes:
        since: When the newest canary that has arrived was written.
        way_seconds: How long that one took.
        waiting: When each canary that has not arrived was written, by its id: the oldest, and the newest ones.
    """

    since: float
    way_seconds: float = 0.0
    waiting: tuple[tuple[str, float], ...] = ()

    @staticmethod
    def begun(now: float) -> Lag:
        """The watch begins: a canary is due at once, and what was before it is not known."""
        return Lag(now - CANARY_SECONDS)

    def seconds(self, now: float) -> float:
        """How long a row takes that is written now, or has taken so far; a canary that is due counts as written."""
        return max(self.way_seconds, now - self.since - CANARY_SECONDS)

    def is_due(self, now: float) -> bool:
        """Whether the next canary is to be written, also where those before it are late."""
        return now - max(self.since, *(at for _, at in self.waiting[-1:]), float("-inf")) >= CANARY_SECONDS

    def written(self, canary: str, now: float) -> Lag:
        """A canary is written at this moment."""
        return replace(self, waiting=(*self.waiting[:1], *self.waiting[1:][-_MOST_WAITING:], (canary, now)))

    def arrived(self, canary: str, now: float) -> Lag:
        """A canary is there, and those before it are no longer waited for.

        One that is not waited for changes nothing: it is another process's, or a second copy.
        """
        found = next((at for name, at in self.waiting if name == canary), None)
        if found is None:
            return self
        waiting = tuple((name, at) for name, at in self.waiting if at > found)
        return Lag(found, now - found, waiting)


@dataclass(frozen=True)
class Restarts:
    """When a failed task is started again: soon at first, then more and more seldom, for ever.

    Attributes:
        count: How often it was, in all.
        in_a_row: How often since it last ran for a minute.
        last: When it was the last time.
        running_since: Since when it runs; None while it does not.
    """

    count: int = 0
    in_a_row: int = 0
    last: float = float("-inf")
    running_since: float | None = None

    @property
    def pause_seconds(self) -> float:
        """How long after the last restart the next one is due."""
        return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(self.in_a_row - 1, 10), _LONGEST_PAUSE_SECONDS)

    def runs(self, now: float) -> Restarts:
        """It was seen running: after a minute of that, what was before is forgotten."""
        since = now if self.running_since is None else self.running_since
        steady = now - since >= _STEADY_SECONDS
        return replace(self, running_since=since, in_a_row=0 if steady else self.in_a_row)

    def stands(self) -> Restarts:
        """It was seen not running."""
        return replace(self, running_since=None)

    def is_due(self, now: float) -> bool:
        """Whether one that has failed is to be started again."""
        return now - self.last >= (self.pause_seconds if self.in_a_row else 0.0)

    def restarted(self, now: float) -> Restarts:
        """It is started again at this moment."""
        return replace(self.resent(now), count=self.count + 1)

    def resent(self, now: float) -> Restarts:
        """It starts from the beginning at this moment, which has the same pauses and is not counted."""
        return Restarts(self.count, self.in_a_row + 1, now)


def is_history_lost(reason: str) -> bool:
    """Whether a task failed because Mongo no longer has the changes that it was to go on with.

    Starting it again cannot help. What it has missed can only be found in the collection itself.
    """
    return any(text in reason for text in _LOST)
