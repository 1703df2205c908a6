"""A process that ends between two commands that it sends to Mongo, as far as Mongo can see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent


class Crash(BaseException):
    """The process has ended here; nothing of ours may catch it."""


class Crashes(CommandListener):
    """Ends the process at a command; what was sent before it was sent, and its transaction is never committed.

    Attributes:
        last: The command at which it ended.
    """

    def __init__(self) -> None:
        self._left: int | None = None
        self._after_commit = False
        self.last = ""

    def arm(self, number: int) -> None:
        """End at the command of this number from now on, before it is sent."""
        self._left, self._after_commit = number, False

    def arm_after_commit(self) -> None:
        """End when the next transaction was committed."""
        self._left, self._after_commit = None, True

    def disarm(self) -> bool:
        """End no more; returns whether it was armed still."""
        armed = self._left is not None or self._after_commit
        self._left, self._after_commit = None, False
        return armed

    def started(self, event: CommandStartedEvent) -> None:
        """Count, and end at the number."""
        # The driver's own tidying up; a process that has ended sends none, and Mongo ends its transaction by itself.
        if self._left is None or event.command_name in ("abortTransaction", "endSessions"):
            return
        self._left -= 1
        if self._left == 0:
            self._left, self.last = None, event.command_name
            raise Crash(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """End after a commit."""
        if self._after_commit and event.command_name == "commitTransaction":
            self._after_commit, self.last = False, event.command_name
            raise Crash("after commitTransaction")

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing: who fails has not ended."""


@contextmanager
def crashing_client(url: str, crashes: Crashes) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client that ends where it is asked to.

    When it is closed it says so, and Mongo ends its transaction at once; after a real kill that takes Mongo a minute.
    """
    with MongoClient[dict[str, Any]](url, event_listeners=[crashes], retryWrites=False, retryReads=False) as client:
        yield client
