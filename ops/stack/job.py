"""What a supervisor is told to run."""

import os
import sys
from dataclasses import dataclass

import msgspec

from ops.stack.disk import LOW_DISK_MB
from ops.stack.model import Part, Urls
from ops.stack.silence import HANG_SECONDS
from ops.stack.specs import ProcessSpec


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. `external` holds the parts that run elsewhere and are only checked."""

    data_dir: str
    brokers: int
    ports: dict[str, int]
    urls: Urls
    specs: list[ProcessSpec]
    external: dict[Part, str]
    start_timeout_seconds: float
    hang_seconds: float = HANG_SECONDS
    low_disk_mb: int = LOW_DISK_MB

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
