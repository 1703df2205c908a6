"""MongoDB, as SecantusDB speaks it."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ops.stack.components import Launch, PartSpec
from ops.stack.errors import StackError
from ops.stack.ports import HOST
from ops.stack.process_spec import ProcessSpec

_SERVER: Final = Path(__file__).with_name("secantus_server.py")


class Mongo(PartSpec):
    """SecantusDB, in a process of ours."""

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """A replica set of one."""
        del brokers
        port = ports.get(self.name)
        return f"mongodb://{HOST}:{port}/?replicaSet=secantus&directConnection=true" if port is not None else ""

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one process."""
        if find_spec("secantus") is None:
            raise StackError("MongoDB's embedded stand-in is missing: pip install 'marketplace[stack]'")
        # Its settings are all there: a secantusd.toml of the folder or the home directory must not change them.
        command = [sys.executable, "-P", str(_SERVER), "--host", HOST, "--port", str(launch.ports[self.name])]
        command += ["--storage-path", str(self.folder(launch) / "db")]
        return [
            ProcessSpec(
                self.name,
                self.name,
                command,
                self.url(launch.ports, launch.brokers),
                check=self.check,
                stop_rank=self.stop_rank,
                # It sits in accept() for another two seconds, unless somebody comes in.
                wake_at_stop=True,
            )
        ]
