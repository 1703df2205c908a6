"""A record of which the click flow makes a dead letter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RejectedRecord:
    """A record that goes to the dead-letter topic with its exact bytes.

    Attributes:
        partition, offset: Its place in the topic.
        value: Its payload.
        store: The store that it is of; empty where that cannot be read.
        reason, detail: Why, as a short name and in words.
    """

    partition: int
    offset: int
    value: bytes
    store: str
    reason: str
    detail: str
