"""nginx as a service of the stack."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from api.config import PUBLIC_URL, SHOP_URL
from api.config import TRUSTED_PROXIES as API_TRUSTED_PROXIES
from ingest.config import TRUSTED_PROXIES as COLLECTOR_TRUSTED_PROXIES
from ops.stack.components import Launch, ServiceSpec, joined
from ops.stack.ports import HOST, PortSpec
from ops.stack.process_spec import ProcessSpec
from ops.stack.proxy.files import CONFIGURATION, UPSTREAMS, ProxyPorts, public_url, write_folder
from ops.stack.proxy.settings import ProxySettings
from runtime.sections import COLLECTOR_URL, DASHBOARD_NAMES
from runtime.settings import EnvReader


@dataclass(frozen=True, kw_only=True)
class ProxySpec(ServiceSpec):
    """The proxy in front of API, collector and dashboard: nginx, not a module of ours."""

    module: str = "nginx"

    @property
    def http_port_name(self) -> str:
        """The name of the port that redirects to https."""
        return f"{self.name}-http"

    def ports(self, brokers: int) -> tuple[PortSpec, ...]:
        """https, then http and the admin port, where nobody has them."""
        del brokers
        return (
            PortSpec(self.name, self.default_port),
            PortSpec(self.http_port_name, after=self.name, gives_way=True),
            PortSpec(self.admin_port_name, after=self.name, distance=2, gives_way=True),
        )

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """Its https port, by the first of its names."""
        del brokers
        return public_url(ProxySettings.load(os.environ), ports[self.name]) if self.name in ports else ""

    def settings_for_others(self, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
        """The services believe what the proxy says of a client, and know the names by which it is reached."""
        if self.name not in ports:
            return {}
        settings = ProxySettings.load(environment)
        given = {
            variable.name: joined(environment.get(variable.name, ""), HOST)
            for variable in (API_TRUSTED_PROXIES, COLLECTOR_TRUSTED_PROXIES)
        }
        # Local names are known to the dashboard; as listed ones they would let in pages of any port of this machine.
        others = [name for name in settings.names if name != "localhost" and not name.endswith(".localhost")]
        given[DASHBOARD_NAMES.name] = joined(environment.get(DASHBOARD_NAMES.name, ""), *others)
        for variable in (PUBLIC_URL, SHOP_URL, COLLECTOR_URL):
            if not EnvReader(environment).given(variable):
                given[variable.name] = public_url(settings, ports[self.name])
        return given

    def process(self, launch: Launch) -> ProcessSpec:
        """The one process; writes its configuration.

        Raises:
            StackError: nginx or its configuration is missing, or its folder cannot be written.
        """
        settings, ports, folder = ProxySettings.load(os.environ), launch.ports, launch.data_dir / self.name
        program = settings.find_program()
        where = ProxyPorts(
            ports[self.name],
            ports[self.http_port_name],
            ports[self.admin_port_name],
            {name: ports[name] for name in UPSTREAMS},
        )
        write_folder(folder, settings, where)
        return ProcessSpec(
            self.name,
            self.name,
            [program, "-p", str(folder), "-c", str(folder / CONFIGURATION), "-e", "stderr", "-g", "daemon off;"],
            self.url(ports, launch.brokers),
            check_url=f"http://{HOST}:{where.admin}",
            check=self.check,
            stop_rank=self.stop_rank,
            # SIGTERM would cut off requests that run.
            stop_signal=signal.SIGQUIT,
        )
