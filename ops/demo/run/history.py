"""The history that the shops of a data folder have, so that a second demo does not add another one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

_FILE: Final = "demo.json"


class History(msgspec.Struct, frozen=True):
    """A history of thirty days.

    Attributes:
        seed, clicks: They determine its traffic.
        now_ms: Its end, epoch ms. A history that was interrupted is sent again with the same end: its events are then
            the same, and those that were counted before are not counted again.
        stores: Slugs of the shops.
        done: All of it has been sent.
    """

    seed: int
    clicks: int
    now_ms: int
    stores: tuple[str, ...]
    done: bool = False

    def is_like(self, other: History) -> bool:
        """Whether the other has the same traffic for the same shops, whenever it ends."""
        return (self.seed, self.clicks, self.stores) == (other.seed, other.clicks, other.stores)


def read_history(folder: Path) -> History | None:
    """The history of a data folder; None if there is none, or the file has another format."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=History)
    except (OSError, msgspec.MsgspecError):
        return None


def write_history(folder: Path, history: History) -> None:
    """Save it, atomically."""
    draft = folder / f"{_FILE}.{os.getpid()}.tmp"
    draft.write_bytes(msgspec.json.encode(history))
    draft.replace(folder / _FILE)
