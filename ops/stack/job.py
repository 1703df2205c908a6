"""What a supervisor is told to run."""

from dataclasses import dataclass

import msgspec

from ops.stack.model import Part, Urls
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

    def to_json(self) -> bytes:
        """The job as one line."""
        return msgspec.json.encode(self)

    @staticmethod
    def from_json(line: bytes) -> "Job":
        """The job of a line that `to_json` wrote."""
        return msgspec.json.decode(line, type=Job)
