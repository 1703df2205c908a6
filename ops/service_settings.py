"""What the environment says to the services of a stack, read before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingest.config import Addresses, CollectorConfig
from marketplace.settings import InvalidSettings


@dataclass(frozen=True)
class FlowSettings:
    """How the click flow's service runs.

    Attributes:
        workers: Processes.
        memory_mb: What all of them together may remember in; 0 for a third of what there is.
        port: Where it says how it is; 0 for a free one.
    """

    workers: int
    memory_mb: int
    port: int

    @staticmethod
    def load(environment: Mapping[str, str]) -> FlowSettings:
        """Read the environment.

        Raises:
            InvalidSettings: A value cannot be used; the message names the variable and what it may be.
        """
        return FlowSettings(
            workers=_number(environment, "MARKETPLACE_FLOW_WORKERS", 1, range(1, 65)),
            memory_mb=_number(environment, "MARKETPLACE_FLOW_MEMORY_MB", 0, range(1 << 30)),
            port=_number(environment, "MARKETPLACE_FLOW_PORT", 0, range(65_536)),
        )


def check_collector(environment: Mapping[str, str]) -> None:
    """Refuse what the collector would refuse.

    Raises:
        InvalidSettings: A value cannot be used; the message names the variable.
    """
    CollectorConfig.load(environment)
    Addresses.load(environment)


def _number(environment: Mapping[str, str], name: str, default: int, allowed: range) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 12 or int(text) not in allowed:
        raise InvalidSettings(f"{name}={text}: give a number from {allowed.start} to {allowed.stop - 1}")
    return int(text)
