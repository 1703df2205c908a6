"""From a flow's declaration to its code, without importing the code of others."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flows.delivery.flow import Flow
from marketplace.flows import FlowSpec


def flow_of(spec: FlowSpec) -> Flow[Any]:
    """What ``flows/<name>/flow.py`` calls ``FLOW``.

    Raises:
        TypeError: It is no flow.
    """
    found = import_module(f"{spec.module}.flow").FLOW
    if not isinstance(found, Flow) or found.spec is not spec:
        raise TypeError(f"{spec.module}.flow.FLOW is not the flow {spec.name}")
    return found
