"""What the payments service counts, as the catalogue of metrics declares it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import Metric

from marketplace import metrics as catalogue
from runtime.metrics import family


class PaymentCounts:
    """Counts since the start; safe to share between threads.

    Attributes:
        is_asked: Whether the provider is asked at this moment.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applied: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._alarms = 0
        self.is_asked: Callable[[], bool] = lambda: True

    def applied(self, outcome: str) -> None:
        """Something that the provider said was applied, or not."""
        with self._lock:
            self._applied[outcome] += 1

    def unanswered(self) -> None:
        """A question got no answer."""
        self._count("unanswered")

    def refused(self) -> None:
        """A question was refused for good."""
        self._count("refused")

    def failed(self) -> None:
        """A question failed of something that nobody expects."""
        self._count("failed")

    def alarm(self) -> None:
        """A refund waits for an operator."""
        with self._lock:
            self._alarms += 1

    def of(self, name: str) -> int:
        """One of the numbers."""
        with self._lock:
            return self._alarms if name == "alarms" else (self._applied + self._calls)[name]

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        with self._lock:
            applied, calls, alarms = dict(self._applied), dict(self._calls), self._alarms
        yield family(catalogue.PAYMENT_REPORTS, [((outcome,), count) for outcome, count in applied.items()])
        yield family(catalogue.PAYMENT_FAILED_CALLS, [((reason,), count) for reason, count in calls.items()])
        yield family(catalogue.PAYMENT_ALARMS, [((), alarms)])
        yield family(catalogue.PAYMENT_PROVIDER_ASKED, [((), int(self.is_asked()))])

    def _count(self, name: str) -> None:
        with self._lock:
            self._calls[name] += 1
