"""MongoDB, as SecantusDB speaks it."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ops.stack.components import Launch, PartSpec
from ops.stack.errors import StackError
from ops.stack.ports import HOST
from ops.stack.process_spec import ProcessSpec

_THIRTY_DAYS_SECONDS: Final = 30 * 24 * 3600


class Mongo(PartSpec):
    """SecantusDB. Without `--sync-on-commit` a kill loses acknowledged transactions."""

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """A replica set of one."""
        del brokers
        port = ports.get(self.name)
        return f"mongodb://{HOST}:{port}/?replicaSet=secantus&directConnection=true" if port is not None else ""

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one process."""
        script = Path(sys.executable).with_name("secantusd-py")
        program = str(script) if script.exists() else shutil.which("secantusd-py")
        if program is None:
            raise StackError("MongoDB's embedded stand-in is missing: pip install 'marketplace[stack]'")
        folder = self.folder(launch)
        # The options are all here: a secantusd.toml of the folder or the home directory must not change them.
        config = folder / "secantusd.toml"
        config.touch()
        command = [program, "--config", str(config), "--host", HOST, "--port", str(launch.ports[self.name])]
        command += ["--storage-path", str(folder / "db"), "--sync-on-commit", "--log-level", "WARNING"]
        command += ["--noop-heartbeat-seconds", "1", "--cache-size", "512M"]
        command += ["--oplog-retention-seconds", str(_THIRTY_DAYS_SECONDS), "--oplog-max-entries", "20000000"]
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
