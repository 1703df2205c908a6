"""The job of a supervisor: what it runs."""

import os
import sys
from dataclasses import dataclass, field

import msgspec

from marketplace.settings import Urls
from ops.stack.disk.space import LOW_DISK_MB
from ops.stack.health.silence import HANG_SECONDS
from ops.stack.process_spec import ExternalPart, ProcessSpec
from ops.stack.state.model import Part


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, and what the state file says about it; see `StackState`.

    It says all that the supervisor knows: the registry is the starter's.
    """

    data_dir: str
    brokers: int
    ports: dict[str, int]
    urls: Urls
    specs: list[ProcessSpec]
    external: list[ExternalPart]
    start_timeout_seconds: float
    hang_seconds: float = HANG_SECONDS
    low_disk_mb: int = LOW_DISK_MB
    left_out: list[Part] = field(default_factory=list)
    requested: list[Part] = field(default_factory=list)
    earlier_ports: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The job as one line."""
        return msgspec.json.encode(self)

    @staticmethod
    def from_json(line: bytes) -> "Job":
        """The job of a line that `to_json` wrote."""
        return msgspec.json.decode(line, type=Job)

    @staticmethod
    def read(descriptor: int) -> "Job":
        """The job that somebody writes, and not a byte more. Ends the process where there is none."""
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = os.read(descriptor, 1)
            if not byte:
                sys.exit("no job")
            line += byte
        return Job.from_json(bytes(line))
