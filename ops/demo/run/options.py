"""Options of a demo, and a guard for its clean-up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.demo.run.live import DEFAULT_RATE


@dataclass(frozen=True)
class DemoOptions:
    """The command's options.

    Attributes:
        clicks: The number of events of the history.
        orders: The number of orders that are planned.
        seed: The seed of the traffic.
        data: The data folder, if one was named.
        brokers: The number of Kafka brokers, if a stack is started.
        workers: The number of processes of the flow.
        keep: Leave the parts running and the data in place.
        rate: Events per second of live traffic, on average over a day.
        detach: Leave the parts and live traffic running in the background.
        as_json: The result is one document on standard output, the passwords of the accounts in it.
    """

    clicks: int = 20_000
    orders: int = 0
    seed: int = 1
    data: Path | None = None
    brokers: int = 1
    workers: int = 1
    keep: bool = False
    rate: float = DEFAULT_RATE
    detach: bool = False
    as_json: bool = False


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM inside: clean-up must finish."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
