"""Which history the shops of a data folder have, so that a demo that is run again does not make them another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

_FILE: Final = "demo.json"


class History(msgspec.Struct, frozen=True):
    """A history of thirty days.

    Attributes:
        seed, clicks: What traffic it is.
        now_ms: Where it ends, epoch ms. One that was broken off is sent again with the same end: it is the same events
            then, and what was counted before is not counted again.
        stores: Slugs of the shops.
        done: All of it was sent.
    """

    seed: int
    clicks: int
    now_ms: int
    stores: tuple[str, ...]
    done: bool = False

    def is_like(self, other: History) -> bool:
        """Whether the other is the same traffic of the same shops, whenever it ends."""
        return (self.seed, self.clicks, self.stores) == (other.seed, other.clicks, other.stores)


def read_history(folder: Path) -> History | None:
    """What a data folder's shops have; None for none, or one of another version."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=History)
    except (OSError, msgspec.MsgspecError):
        return None


def write_history(folder: Path, history: History) -> None:
    """Remember it, in one step."""
    draft = folder / f"{_FILE}.{os.getpid()}.tmp"
    draft.write_bytes(msgspec.json.encode(history))
    draft.replace(folder / _FILE)
