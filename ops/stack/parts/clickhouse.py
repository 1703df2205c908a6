"""ClickHouse: its engine in a process of ours, behind its HTTP interface."""

import sys
from collections.abc import Mapping

from ops.stack.components import Launch, PartSpec
from ops.stack.ports import HOST
from ops.stack.process_spec import PACKAGE_ROOT, HealthCheck, ProcessSpec


class ClickHouse(PartSpec):
    """The embedded server replies to `/ping` however busy the engine is; another one is asked by a query."""

    @property
    def check_elsewhere(self) -> HealthCheck:
        """By a query, with the password of the URL."""
        return HealthCheck("clickhouse sql")

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """The HTTP interface."""
        del brokers
        return f"http://{HOST}:{ports[self.name]}" if self.name in ports else ""

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one process."""
        command = [sys.executable, "-m", "ops.stack.clickhouse_http", "--data", str(self.folder(launch))]
        command += ["--host", HOST, "--port", str(launch.ports[self.name]), "--stop-on-stdin-eof"]
        return [
            ProcessSpec(
                self.name,
                self.name,
                command,
                self.url(launch.ports, launch.brokers),
                {"PYTHONPATH": PACKAGE_ROOT},
                check=self.check,
                stop_rank=self.stop_rank,
            )
        ]
