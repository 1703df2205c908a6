"""The dashboard as a service of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.config import PUBLIC_URL
from api.config import TRUSTED_PROXIES as API_TRUSTED_PROXIES
from ops.stack.components import ServiceSpec, joined
from ops.stack.ports import HOST
from runtime.settings import EnvReader


@dataclass(frozen=True, kw_only=True)
class DashboardSpec(ServiceSpec):
    """The dashboard, which passes sign-ins on to the API."""

    module: str = "dashboards"

    def settings_for_others(self, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
        """The API counts attempts to sign in by the address that the dashboard names; its mails lead to pages here."""
        if self.name not in ports:
            return {}
        given = {API_TRUSTED_PROXIES.name: joined(environment.get(API_TRUSTED_PROXIES.name, ""), HOST)}
        if not EnvReader(environment).given(PUBLIC_URL):
            given[PUBLIC_URL.name] = self.url(ports, 1)
        return given
