"""What a consumer of the saga is, as the runner knows it: one entry here is all that a further consumer needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client.core import Metric

from connectors.mongo.client import Client
from marketplace.errors import Reject, Retry
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event

_ABSENT_SECONDS: Final = 0.25

Handle = Callable[[Event, datetime, str], bool]
"""Handles an event, given the time and the trace that it belongs to; returns whether it did, and False for one that was
handled before. It may be called from several threads, and never for two events of one key at one time.

It raises ``Unavailable``, ``Retry`` or :class:`Absent` where it is to be tried again, ``Reject`` for what no retry can
change, and ``Stop`` where it is dangerous to go on. Anything else is tried a few times and rejected then: a bug that
meets one order parks that order, and one that meets every order stops the consumer."""

Sweep = Callable[[datetime], int]
"""Acts on what is due: deadlines that have passed, questions to a provider. Returns how many it acted on; where it is
not zero it is called again at once. Any number of processes may call it at one time.

It raises ``Unavailable`` where it is to be tried again."""


class Absent(Retry):
    """What an event is about is not there. It is tried again for some seconds, and rejected then.

    It cannot be in a transaction that is not committed yet, because the event is written in the same one. But what is
    read may be older than what is written, after a change of the primary for example; so it is given a moment.

    Args:
        reason: The code under which it is rejected, such as ``no_order``.
        detail: The same as a sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(_ABSENT_SECONDS, detail)
        self.code = reason

    def _data(self) -> tuple[object, ...]:
        return self.code, self.reason


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class SagaConsumer:
    """A consumer of the saga.

    Attributes:
        service: Whose events it says; its group is ``saga.<service>``.
        handle: Its reaction.
        sweep: What it does by itself.
        sweep_seconds: How often that is looked at while there is nothing to do.
        oldest_due_ms: When the oldest thing that it has to act on by itself was or will be due; None for nothing. It
            raises ``Unavailable``.
        close: Lets go of what it has opened; called once, after its last event and sweep.
        metrics: What it reports beside what every consumer does.
    """

    service: Service
    handle: Handle
    sweep: Sweep
    sweep_seconds: float = 1.0
    oldest_due_ms: Callable[[], int | None] = _nothing
    close: Callable[[], None] = _nothing
    metrics: Callable[[], Iterable[Metric]] = tuple


@dataclass(frozen=True)
class Parts:
    """What a consumer is made of.

    Attributes:
        mongo: A connected client, shared by all consumers of the process.
        database: The database's name.
        environment: Variables, for a consumer that has settings of its own.
    """

    mongo: Client
    database: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ConsumerSpec:
    """A consumer as it is registered.

    Attributes:
        service: Its name.
        does: For people, in a few words.
        open: Makes it.
    """

    service: Service
    does: str
    open: Callable[[Parts], SagaConsumer]


def check_store(event: Event, store: str) -> None:
    """Refuse an event that names another store than that of its order.

    Raises:
        Reject: It does.
    """
    if event.store != store:
        raise Reject("other_store", f"the event says store {event.store[:60]!r}, and its order is another one's")
