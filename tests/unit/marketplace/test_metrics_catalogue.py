"""What processes expose is what the catalogue declares, and the page is written from it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.metrics import ApiMetrics
from connectors.mongo.client import connect
from flows.delivery.metrics import FlowMetrics
from flows.delivery.process_set import FlowOptions, FlowProcessSet
from flows.registry import flow_of
from ingest.metrics import CollectorMetrics
from marketplace.flows import FLOWS, FlowSpec
from marketplace.metrics import API, CLICK_FLOW, COLLECTOR, CONSUMERS, FLOW, METRICS, MetricSpec
from marketplace.settings import Urls
from ops.reference.metrics import TARGET, reference
from runtime.sections import Settings
from saga_consumers.metrics import ConsumerCollector
from saga_consumers.process import ConsumerProcess, ProcessSettings
from saga_consumers.registry import CONSUMERS as SAGA_CONSUMERS

ALL = [spec for specs in METRICS.values() for spec in specs]
NOWHERE = Settings(
    Urls("127.0.0.1:1", "mongodb://127.0.0.1:1", "http://127.0.0.1:1", "redis://127.0.0.1:1"), PurePosixPath()
)


def names(registry: CollectorRegistry) -> set[tuple[str, str]]:
    return {(metric.name, metric.type) for metric in registry.collect()}


def declared(specs: tuple[MetricSpec, ...]) -> set[tuple[str, str]]:
    return {(spec.name, spec.kind) for spec in specs}


def test_no_metric_is_declared_twice_and_each_says_what_it_is() -> None:
    assert len({spec.name for spec in ALL}) == len(ALL)
    for spec in ALL:
        assert re.fullmatch(r"marketplace_[a-z_]+", spec.name)
        assert spec.text.endswith(".")


def test_the_collector_exposes_what_is_declared_and_nothing_else() -> None:
    assert names(CollectorMetrics().registry) == declared(COLLECTOR)


def test_the_api_exposes_what_is_declared_and_nothing_else() -> None:
    assert names(ApiMetrics().registry) == declared(API)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_flow_exposes_nothing_that_is_not_declared_and_its_processes_even_while_no_part_answers(
    flow: FlowSpec,
) -> None:
    processes, registry = FlowProcessSet(flow, NOWHERE, FlowOptions()), CollectorRegistry()
    own: Any = flow_of(flow).metrics(NOWHERE, processes)
    for collector in (FlowMetrics(NOWHERE, processes), *own):
        registry.register(collector)
    found = names(registry)
    for collector in own:
        collector.close()
    assert found <= declared((*FLOW, *CLICK_FLOW) if flow.name == "clicks" else FLOW)
    assert found >= declared(FLOW[:4])


def test_the_consumers_expose_what_is_declared_even_while_no_part_answers() -> None:
    registry = CollectorRegistry()
    with connect(NOWHERE.urls.mongo, deadline_seconds=0.1) as mongo:
        parts = ProcessSettings(NOWHERE.kafka, mongo, "nothing", {})
        registry.register(ConsumerCollector(ConsumerProcess(SAGA_CONSUMERS, parts)))
        assert names(registry) == declared(CONSUMERS)


def test_the_page_is_the_catalogues() -> None:
    assert TARGET.read_text() == reference()
