"""Metrics as the catalogue of ``marketplace.metrics`` declares them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from marketplace.metrics import MetricSpec

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def counter(spec: MetricSpec, registry: CollectorRegistry) -> Counter:
    """One that the process itself counts up."""
    return Counter(spec.name, spec.text, spec.labels, registry=registry)


def gauge(spec: MetricSpec, registry: CollectorRegistry) -> Gauge:
    """One that the process itself sets."""
    return Gauge(spec.name, spec.text, spec.labels, registry=registry)


def histogram(spec: MetricSpec, registry: CollectorRegistry) -> Histogram:
    """Seconds, from a millisecond to ten seconds."""
    return Histogram(spec.name, spec.text, spec.labels, buckets=_SECONDS, registry=registry)


def family(spec: MetricSpec, samples: Iterable[tuple[Sequence[str], float]]) -> Metric:
    """One that is read at each scrape.

    Args:
        spec: A counter or a gauge.
        samples: Values of labels, and the value.
    """
    kind = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    made = kind(spec.name, spec.text, labels=spec.labels)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made
