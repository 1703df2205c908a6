"""How much memory the flow may remember in."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.clicks.encoding.context import DEFAULT_BYTES

log = logging.getLogger(__name__)

LEAST_BYTES: Final = 128 << 20
"""For one process: less would be read back all the time."""

_SHARE: Final = 3
"""The state takes one part in this many of the memory; the rest is for the process itself and for others."""

_DICTIONARY_SHARE: Final = 4

_LIMITS: Final = ("memory.max", "memory/memory.limit_in_bytes")
"""Where the kernel shows a container's bound: control groups version 2, and 1."""


@dataclass(frozen=True)
class MemoryLimits:
    """How a process divides its memory.

    Attributes:
        page_bytes: For the past of one partition.
        dictionary_bytes: For distinct values, of all partitions together.
    """

    page_bytes: int
    dictionary_bytes: int


def log_limits(memory: MemoryLimits, partitions: int) -> None:
    """Say in the log what there is."""
    log.info(
        "the past of %d partitions is remembered in %d MB each, distinct values in %d MB",
        partitions,
        memory.page_bytes >> 20,
        memory.dictionary_bytes >> 20,
    )
    if memory.page_bytes * partitions + memory.dictionary_bytes < LEAST_BYTES:
        log.warning("that is little: busy hours will be read back batch by batch, which takes time")


def divide(process_bytes: int, partitions: int) -> MemoryLimits:
    """How a process divides its memory among its partitions."""
    encoding = min(DEFAULT_BYTES, process_bytes // _DICTIONARY_SHARE)
    return MemoryLimits((process_bytes - encoding) // max(1, partitions), encoding)


def default_bytes(processes: int, there: int | None = None) -> int:
    """The default memory for the state of each process: together a third of the machine's or container's.

    Args:
        processes: On this machine or in this container.
        there: Bytes of memory that they share; by default what the machine has, or the container's bound.
    """
    there = available_bytes() if there is None else there
    return max(LEAST_BYTES, there // _SHARE // processes)


def available_bytes(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory of this machine, or of this container where it is bound to fewer."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMITS:
        try:
            text = (groups / name).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            found.append(int(text))
    return min(found)
