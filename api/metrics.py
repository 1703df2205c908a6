"""The API's metrics, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from api.mail.sender import Reason
from marketplace import metrics as catalogue
from runtime.metrics import counter, family, histogram


class ApiMetrics(Collector):
    """What one process of the API exposes; ``marketplace.metrics`` describes each.

    Attributes:
        registry: Holds all of them.
        mongo_connections: Asked at each scrape, on another thread than the event loop's.
        limiter_degraded: Asked in the same way.
        mails_waiting: The number that was seen last; None where nobody knows.
        search: Products in the index, the age of what it knows in seconds, and how often everything was read.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = counter(catalogue.API_REQUESTS, self.registry)
        self._seconds = histogram(catalogue.API_REQUEST_SECONDS, self.registry)
        self._mails_given_up = counter(catalogue.API_MAILS_GIVEN_UP, self.registry)
        for reason in get_args(Reason):
            self._mails_given_up.labels(reason)
        self.mongo_connections: Callable[[], int] = lambda: 0
        self.limiter_degraded: Callable[[], bool] = lambda: False
        self.mails_waiting: int | None = None
        self.search: Callable[[], tuple[int, float | None, int]] = lambda: (0, None, 0)
        self.registry.register(self)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: Its method and path template; empty for what is no route.
            status: Of its answer.
            seconds: From its head to the end of its answer.
        """
        self._requests.labels(route or "none", str(status)).inc()
        self._seconds.labels(route or "none").observe(seconds)

    def mail_given_up(self, reason: Reason) -> None:
        """Count a mail that nobody will get."""
        self._mails_given_up.labels(reason).inc()

    def collect(self) -> Iterator[Metric]:
        """What is asked at each scrape."""
        yield family(catalogue.API_MONGO_CONNECTIONS, [((), self.mongo_connections())])
        yield family(catalogue.API_LIMITER_DEGRADED, [((), float(self.limiter_degraded()))])
        waiting = self.mails_waiting
        yield family(catalogue.API_MAILS_WAITING, [] if waiting is None else [((), waiting)])
        products, age, reads = self.search()
        yield family(catalogue.API_SEARCH_PRODUCTS, [((), products)])
        yield family(catalogue.API_SEARCH_AGE_SECONDS, [] if age is None else [((), age)])
        yield family(catalogue.API_SEARCH_READS, [((), reads)])
