"""The collector as a service of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ops.stack.components import ServiceSpec
from runtime.sections import COLLECTOR_URL
from runtime.settings import EnvReader


@dataclass(frozen=True, kw_only=True)
class CollectorSpec(ServiceSpec):
    """The collector, to which pages of the shop send their events."""

    module: str = "ingest"

    def settings_for_others(self, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
        """The API's pages load the snippet from here, unless a proxy stands in front or somebody says otherwise."""
        if self.name not in ports or EnvReader(environment).given(COLLECTOR_URL):
            return {}
        return {COLLECTOR_URL.name: self.url(ports, 1)}
