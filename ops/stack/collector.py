"""The collector as a service of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.config import COLLECTOR_URL
from ops.stack.components import ServiceSpec


@dataclass(frozen=True, kw_only=True)
class CollectorSpec(ServiceSpec):
    """The collector, to which pages of the storefront send events."""

    def settings_for_others(self, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
        """The API's pages know where browsers reach it."""
        if self.name not in ports or environment.get(COLLECTOR_URL.name, "").strip():
            return {}
        return {COLLECTOR_URL.name: self.url(ports, 1)}
