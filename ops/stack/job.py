"""What a supervisor is told to run."""

import json
from dataclasses import asdict, dataclass

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

    def to_json(self) -> str:
        """The job as one line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str) -> "Job":
        """The job of a line that `to_json` wrote."""
        document = json.loads(line)
        specs = [ProcessSpec(**spec) for spec in document["specs"]]
        return Job(**{**document, "urls": Urls(**document["urls"]), "specs": specs})
