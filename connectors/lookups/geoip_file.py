"""One MaxMind City database: opened from a private copy, validated, then immutable."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import BinaryIO, Final

import maxminddb

from connectors.errors import Refused
from marketplace.enrichments.registry import Place

CACHE_ENTRIES: Final = 65_536
"""Distinct networks kept in memory; about 20 MB when full."""

MAX_ADDRESS_CHARS: Final = 45
"""The longest text form of an address, an IPv4-mapped IPv6 one."""

COPY_CHUNK_BYTES: Final = 1 << 20
PROBES: Final = 512
"""Networks, spread evenly over the address space, for which a database must return a result without an error."""

_OCTET: Final = r"(?:1?[1-9]?\d|10\d|2[0-4]\d|25[0-5])"
_PLAIN: Final = re.compile(
    rf"(?!0\.|10\.|100\.|127\.|169\.|172\.|192\.|198\.|203\.|22[4-9]\.|2[3-5]\d\.){_OCTET}(?:\.{_OCTET}){{3}}"
)
"""First numbers of IPv4 addresses without special networks: all their addresses are global."""

_NOWHERE: Final = Place()
_BUILT: Final = range(946_684_800, 4_102_444_800)
"""From 2000 until 2100, seconds since 1970: no database of this format is older, and a later date is damage."""


class UnusableDatabase(Refused):
    """A file is not a usable City database: missing, truncated, damaged, or of another kind; the message says which.

    At the start this ends the process; later the old database stays in use.
    """


class PlaceSnapshot:
    """One database, immutable: its version and its results belong together.

    The reader maps a private, unlinked copy of the file: overwriting or truncating the file in place would otherwise
    change results under a version, or crash the process. Safe to share between threads.
    """

    def __init__(self, path: Path, cache_entries: int = CACHE_ENTRIES) -> None:
        """Copy, open and validate a database.

        Raises:
            UnusableDatabase: The file cannot be used.
        """
        self._reader, checksum = _open(path)
        metadata = self._reader.metadata()
        built = _build_date(path, metadata.build_epoch)
        self._version = f"{metadata.database_type} {built:%Y-%m-%d} {checksum[:8]}"
        self._ipv6 = metadata.ip_version == 6
        _prove(path, metadata.database_type, self._look_up)
        self._cached: Callable[[str], Place] = lru_cache(maxsize=cache_entries)(self._find)

    def version(self) -> str:
        """Type, build date and the start of the file's SHA-256, e.g. ``GeoLite2-City 2019-12-24 0a1b2c3d``."""
        return self._version

    def find(self, ip: str) -> Place:
        """The place of an address or network base address; empty for anything that has none, never an exception."""
        return self._cached(ip) if len(ip) <= MAX_ADDRESS_CHARS else _NOWHERE

    def _find(self, ip: str) -> Place:
        try:
            # Nearly all are plain: an address object and its check against special networks would double the cost.
            return self._read(ip) if _PLAIN.fullmatch(ip) else self._look_up(ip_address(ip))
        except (ValueError, maxminddb.InvalidDatabaseError):
            # Not an address, or a damaged record that the probes missed: unknown, as an absent one is.
            return _NOWHERE

    def _look_up(self, address: IPv4Address | IPv6Address) -> Place:
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if not address.is_global or (address.version == 6 and not self._ipv6):
            return _NOWHERE
        return self._read(address)

    def _read(self, address: IPv4Address | IPv6Address | str) -> Place:
        record = self._reader.get(address)
        if not isinstance(record, dict):
            return _NOWHERE
        # The network's country; if unknown, the country in which it is registered (anycast, satellite).
        country = _text(record, "country", "iso_code") or _text(record, "registered_country", "iso_code")
        return Place(country=country, city=_text(record, "city", "names", "en"))


def _open(path: Path) -> tuple[maxminddb.Reader, str]:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source, tempfile.NamedTemporaryFile(prefix="geoip-", suffix=".mmdb") as copy:
            for chunk in _chunks(source):
                digest.update(chunk)
                copy.write(chunk)
            copy.flush()
            # The mapping outlives the file's name, so nothing is left behind however the process ends.
            return maxminddb.open_database(copy.name, maxminddb.MODE_MMAP_EXT), digest.hexdigest()
    except OSError as error:
        raise UnusableDatabase(f"{path} cannot be read: {error.strerror or error}") from error
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise UnusableDatabase(f"{path} is not a whole MaxMind database") from error


def _build_date(path: Path, build_epoch: int) -> datetime:
    if build_epoch not in _BUILT:
        raise UnusableDatabase(f"{path} says that it was built {build_epoch} s after 1970, which cannot be")
    return datetime.fromtimestamp(build_epoch, UTC)


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(COPY_CHUNK_BYTES):
        yield chunk


def _prove(path: Path, database_type: str, look_up: Callable[[IPv4Address | IPv6Address], Place]) -> None:
    if "City" not in database_type:
        raise UnusableDatabase(f"{path} is a {database_type} database, not a City one")
    step = (1 << 32) // PROBES
    try:
        places = [look_up(IPv4Address(index * step)) for index in range(PROBES)]
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise UnusableDatabase(f"{path} is damaged: {error}") from error
    if not any(place.country for place in places):
        raise UnusableDatabase(f"{path} knows the country of none of {PROBES} networks")


def _text(record: object, *keys: str) -> str:
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record if isinstance(record, str) else ""
