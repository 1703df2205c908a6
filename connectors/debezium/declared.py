"""Every connector, declared once: the file beside this one is its whole configuration, in production as anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\$\{env:(\w+)\}")


@dataclass(frozen=True)
class Connector:
    """The declaration of a connector.

    URLs, passwords and the database stand in it as ``${env:NAME}``, which a worker replaces from its own environment:
    Connect keeps the file as it is and no password, and a worker that finds them changed needs no other file.

    Attributes:
        name: As Connect knows it, and the name of its file.
    """

    name: str

    @cached_property
    def config(self) -> Mapping[str, str]:
        """Its configuration by Connect's own names."""
        text = Path(__file__).with_name(f"{self.name}.json").read_text(encoding="utf-8")
        return {str(name): str(value) for name, value in json.loads(text).items()}

    @property
    def variables(self) -> frozenset[str]:
        """What a worker has to have in its environment."""
        return frozenset(name for value in self.config.values() for name in _PLACEHOLDER.findall(value))


OUTBOX_CONNECTOR: Final = Connector("outbox")
"""From the collection ``outbox`` to the topic that a row's aggregate names: ``orders`` to ``orders.events.v1``."""

CONNECTORS: Final = (OUTBOX_CONNECTOR,)
