"""Notices that a topic changes under its readers: it grew, was recreated, or is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connectors.errors import Refused
from connectors.kafka.topics import TopicIdentity

_LOOK_SECONDS: Final = 20.0
_GONE_AFTER_LOOKS: Final = 2
"""A broker that has just started may not know all topics yet."""


class TopicWatch:
    """Looks at one topic a few times a minute.

    Args:
        identity: From a topic's name to what it is now; None where there is no such topic.
        topic: The topic's name.
        look_seconds: How often to look.
    """

    def __init__(
        self, identity: Callable[[str], TopicIdentity | None], topic: str, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._identity, self.name, self._look_seconds = identity, topic, look_seconds
        self._seen: TopicIdentity | None = None
        self._missed = 0
        self._look_at = float("-inf")

    @property
    def partitions(self) -> int:
        """How many the topic had when it was remembered; 0 before."""
        return 0 if self._seen is None else self._seen.partitions

    def begin(self, now: float) -> None:
        """Remember how the topic is, right before its readers start.

        Args:
            now: Seconds of a monotonic clock.

        Raises:
            Refused: There is no such topic, or not the one from before any more.
            Unavailable: Kafka does not answer.
        """
        self._missed = _GONE_AFTER_LOOKS
        self._seen = self._look()
        self._missed, self._look_at = 0, now + self._look_seconds

    def look(self, now: float) -> tuple[int, int] | None:
        """Partitions before and now, where there are more; None where there are not, and mostly without looking.

        Raises:
            Refused: The topic was deleted, or recreated.
            Unavailable: Kafka does not answer.
        """
        if now < self._look_at or self._seen is None:
            return None
        self._look_at = now + self._look_seconds
        found = self._look()
        if found is None or found.partitions == self._seen.partitions:
            return None
        return self._seen.partitions, found.partitions

    def _look(self) -> TopicIdentity | None:
        found = self._identity(self.name)
        if found is None:
            self._missed += 1
            if self._missed >= _GONE_AFTER_LOOKS:
                raise Refused(f"there is no topic {self.name}: 'marketplace provision' makes it")
            return None
        self._missed = 0
        if self._seen is not None and found.topic_id != self._seen.topic_id:
            raise Refused(
                f"{self.name} was deleted and recreated while it was read; docs/how-to/recover.md says how to go on"
            )
        return found
