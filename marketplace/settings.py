"""The parts' URLs, as plain data: read from the environment by ``runtime.sections``, or made by a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ALL_PARTS: Final = ("kafka", "mongo", "clickhouse", "redis")
"""Those that hold what the product knows; a process needs them unless it says otherwise."""

OTHER_PARTS: Final = ("payments", "connect")
"""Those that only some processes know of; a process that does not says nothing of them."""

KNOWN_PARTS: Final = (*ALL_PARTS, *OTHER_PARTS)
"""All parts."""


@dataclass(frozen=True, slots=True)
class Urls:
    """The URLs of the parts; empty for a part that is not needed, or not in a stack.

    ``kafka`` is a bootstrap list ``host:port[,host:port...]``, the others are URLs.
    """

    kafka: str = ""
    mongo: str = ""
    clickhouse: str = ""
    redis: str = ""
    payments: str = ""
    connect: str = ""

    def of(self, part: str) -> str:
        """The URL of one of :data:`KNOWN_PARTS`."""
        return str(getattr(self, part))

    def environment(self) -> dict[str, str]:
        """The environment variables with these URLs, for a child process; none for a part that has no URL."""
        return {f"MARKETPLACE_{part.upper()}_URL": self.of(part) for part in KNOWN_PARTS if self.of(part)}
