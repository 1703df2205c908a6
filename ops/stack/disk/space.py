"""The disk under a data folder: how much of it is free, and when that is little."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOW_DISK_MB: Final = 1024
LOW_DISK_VARIABLE: Final = "MARKETPLACE_LOW_DISK_MB"
_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Disk:
    """What is free for this user, of how much, and whether it is less than there should be; whole MB."""

    free_mb: int
    total_mb: int
    low: bool

    def __str__(self) -> str:
        return f"{self.free_mb:,} MB free of {self.total_mb:,} MB"


def look_at_disk(data_dir: Path, low_mb: int) -> Disk:
    """Look at the disk of a folder; where folders in it are disks of their own, the one with the least room counts.

    Raises:
        OSError: it cannot be looked at.
    """
    found = [os.statvfs(data_dir)]
    for place in _folders(data_dir):
        # A folder may go away between the two looks.
        with suppress(FileNotFoundError):
            found.append(os.statvfs(place))
    fullest = min(found, key=lambda disk: disk.f_bavail * disk.f_frsize)
    free = fullest.f_bavail * fullest.f_frsize // _MB
    return Disk(free, fullest.f_blocks * fullest.f_frsize // _MB, low=free < low_mb)


def _folders(data_dir: Path) -> list[str]:
    with os.scandir(data_dir) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def what_to_do(disk: Disk) -> str:
    """One line for a person whose disk is nearly full."""
    how = "full" if disk.free_mb == 0 else "nearly full"
    return (
        f"the disk is {how} ({disk}): delete or move something, or stop the stack and move its folder; "
        "when nothing is left, parts stop and no click is taken until there is room again"
    )
