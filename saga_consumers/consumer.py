"""What a consumer of the saga is, as the runner knows it: one entry here is all that a further consumer needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event

Handle = Callable[[Event, datetime, str], bool]
"""Handles an event, given the time and the trace that it belongs to; returns whether it did, and False for one that was
handled before. It may be called from several threads, and never for two events of one key at one time.

It raises ``Unavailable`` or ``Retry`` where it is to be tried again, ``Reject`` for what no retry can change, and
anything else where it is dangerous to go on."""

Sweep = Callable[[datetime], int]
"""Acts on what is due: deadlines that have passed, questions to a provider. Returns how many it acted on; where it is
not zero it is called again at once. Any number of processes may call it at one time.

It raises ``Unavailable`` where it is to be tried again."""


@dataclass(frozen=True)
class SagaConsumer:
    """A consumer of the saga.

    Attributes:
        service: Whose events it says; its group is ``saga.<service>``.
        handle: Its reaction.
        sweep: What it does by itself.
        sweep_seconds: How often that is looked at while there is nothing to do.
    """

    service: Service
    handle: Handle
    sweep: Sweep
    sweep_seconds: float = 1.0
