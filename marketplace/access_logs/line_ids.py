"""Ids of lines, the same in every import."""

from __future__ import annotations

from hashlib import blake2b


class LineIds:
    """Gives every line an id that is the same in every import.

    The id covers the store, the line and how many equal lines came before it in the files of one import: importing a
    file again, or a longer version of it, gives the same ids, and two equal lines give two. It is keyed by the store's
    secret: a line has an address, and a plain hash of one could be reversed by trying all of them.

    Equal lines are counted among the last ``max_lines`` to ``2 * max_lines`` distinct ones (about 100 bytes each).
    Since equal lines carry the same second, more than that between two of them does not happen in a log.

    Args:
        store: The store's slug.
        secret: The store's visitor secret, 64 hex digits.
        max_lines: The bound.
    """

    def __init__(self, store: str, secret: str, *, max_lines: int = 1_000_000) -> None:
        self._key = bytes.fromhex(secret)
        self._prefix = store.encode() + b"\x00"
        self._max_lines = max_lines
        self._recent: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def next_id(self, line: bytes) -> str:
        """32 hex digits for the next line, given without its line end."""
        digest = blake2b(self._prefix + line, digest_size=16, key=self._key).digest()
        ordinal = self._count(int.from_bytes(digest[:8], "big"))
        return blake2b(digest + ordinal.to_bytes(8, "big"), digest_size=16, key=self._key).hexdigest()

    def remembered(self) -> int:
        """The number of distinct lines in memory, at most ``2 * max_lines``."""
        return len(self._recent) + len(self._older)

    def _count(self, name: int) -> int:
        seen = self._recent.get(name)
        if seen is None:
            seen = self._older.get(name, 0)
            if len(self._recent) >= self._max_lines:
                self._older, self._recent = self._recent, {}
        self._recent[name] = seen + 1
        return seen
