"""What a backup says about itself: `backup.json`, and `files.sha256` as `sha256sum --check` reads it."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from ops.stack.backup.contents import Contents, measure
from ops.stack.errors import StackError

FORMAT: Final = 1
MANIFEST: Final = "backup.json"
LISTING: Final = "files.sha256"
DATA: Final = "data"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole of `backup.json`.

    Attributes:
        format: Of the backup; another one is not read.
        version: Of the product that made it.
        taken_at: When, ISO 8601.
        running: Whether the stack was; otherwise it was down.
        still_seconds: How long everything stood still; 0 for a stack that was down.
        files: How many are in `data`.
        folders: How many.
        links: How many symbolic links.
        bytes: The sum of the files' sizes.
        listing_sha256: Of the listing, which has the files' own.
        brokers: Kafka's.
        elsewhere: Parts that are not in it, because they run elsewhere.
        disk_bytes: What the files take of a disk; less than `bytes` where they have holes.
    """

    format: int
    version: str
    taken_at: str
    running: bool
    still_seconds: float
    files: int
    folders: int
    links: int
    bytes: int
    listing_sha256: str
    brokers: int
    elsewhere: list[str] = field(default_factory=list)
    disk_bytes: int = 0


def write_listing(backup: Path) -> str:
    """Write the checksums of all files; returns that of the listing.

    Raises:
        StackError: A file has a name that no line can have.
    """
    found = {f"{DATA}/{name}": checksum for name, checksum in checksums(backup / DATA).items()}
    if unusual := next((name for name in found if "\n" in name or "\\" in name), None):
        raise StackError(f"a file cannot be listed by its name: {unusual!r}")
    body = "".join(f"{checksum}  {name}\n" for name, checksum in found.items())
    (backup / LISTING).write_text(body)
    return hashlib.sha256(body.encode()).hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """The checksum of each file of a folder, by its path from there, in the order of the paths."""
    found = {}
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if not path.is_symlink():
                found[str(path.relative_to(folder))] = _checksum(path)
    return dict(sorted(found.items()))


def write_manifest(backup: Path, manifest: Manifest) -> None:
    """Write it; a folder without it is no backup."""
    (backup / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def read_manifest(backup: Path) -> Manifest:
    """Read it, and compare what can be compared without reading the files.

    Raises:
        StackError: The folder is no backup, or not a whole one, or not of this format.
    """
    try:
        document = (backup / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise StackError(f"{backup} is no backup: it has no {MANIFEST}") from None
    except OSError as error:
        raise StackError(f"{backup} cannot be read: {error.strerror or error}") from error
    try:
        known = msgspec.json.decode(document, type=_Format).format
        if known != FORMAT:
            raise StackError(f"{backup} is a backup of format {known}; this version reads format {FORMAT}")
        manifest = msgspec.json.decode(document, type=Manifest)
    except msgspec.MsgspecError as error:
        raise StackError(f"{backup} is no backup: {MANIFEST}: {error}") from error
    found = measure(backup / DATA) if (backup / DATA).is_dir() else Contents()
    for what, listed, there in (
        ("files", manifest.files, found.files),
        ("folders", manifest.folders, found.folders),
        ("links", manifest.links, found.links),
        ("bytes", manifest.bytes, found.bytes),
    ):
        if listed != there:
            raise StackError(f"{backup} is damaged: it has {there:,} {what}, and was made with {listed:,}")
    return manifest


def read_listing(backup: Path, manifest: Manifest) -> dict[str, str]:
    """The checksums of all files, by their paths from `data`.

    Raises:
        StackError: It is not the listing that the backup was made with.
    """
    try:
        body = (backup / LISTING).read_bytes()
    except FileNotFoundError:
        body = b""
    if hashlib.sha256(body).hexdigest() != manifest.listing_sha256:
        raise StackError(f"{backup} is damaged: {LISTING} is not what it was made with")
    lines = (line.partition("  ") for line in body.decode().split("\n") if line)
    return {name.removeprefix(f"{DATA}/"): checksum for checksum, _, name in lines}


class _Format(msgspec.Struct):
    format: int


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
