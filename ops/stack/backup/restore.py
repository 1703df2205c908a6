"""Puts a backup into an empty folder, from which `marketplace up` goes on."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from ops.stack.backup.contents import Copier, measure
from ops.stack.backup.manifest import DATA, Manifest, checksums, read_listing, read_manifest
from ops.stack.backup.space import check_space, no_room
from ops.stack.disk.folder import RESTORING, make_private
from ops.stack.errors import StackError
from ops.stack.state.model import state_path


def restore(backup: Path, data_dir: Path) -> Manifest:
    """Copy a backup into a folder that is empty or missing, and compare every file with its checksum there.

    A restore that does not end leaves a folder on which nothing starts.

    Raises:
        StackError: It is no backup, or damaged, or the folder has something in it; the folder is as it was.
    """
    backup, data_dir = backup.resolve(), data_dir.resolve()
    manifest = read_manifest(backup)
    listing = read_listing(backup, manifest)
    if data_dir.is_relative_to(backup) or backup.is_relative_to(data_dir):
        raise StackError(f"a backup cannot be restored into {data_dir}: one of the two is in the other")
    if around := next((each for each in data_dir.parents if state_path(each).exists()), None):
        raise StackError(f"{data_dir} is in {around}, the data folder of another stack")
    new = not data_dir.exists()
    try:
        if not new and any(data_dir.iterdir()):
            raise StackError(f"{data_dir} is not empty: a backup is restored into an empty folder only")
        check_space(measure(backup / DATA), next(each for each in (data_dir, *data_dir.parents) if each.exists()))
        make_private(data_dir)
        (data_dir / RESTORING).touch(mode=0o600)
    except OSError as error:
        raise StackError(f"{data_dir} cannot be used: {error.strerror or error}") from error
    try:
        _copy(backup, data_dir, listing)
        os.sync()
        (data_dir / RESTORING).unlink()
    except BaseException as error:
        _empty(data_dir, new)
        if isinstance(error, OSError):
            raise StackError(f"the backup {backup} cannot be restored: {no_room(error)}") from error
        raise
    return manifest


def _copy(backup: Path, data_dir: Path, listing: dict[str, str]) -> None:
    Copier().copy(backup / DATA, data_dir)
    found = checksums(data_dir)
    del found[RESTORING]
    wrong = [name for name in listing.keys() | found.keys() if listing.get(name) != found.get(name)]
    if wrong:
        raise StackError(f"{backup} is damaged: {min(wrong)} is not what it was made with")


def _empty(data_dir: Path, new: bool) -> None:
    for entry in data_dir.iterdir():
        # What says that the folder is no stack's yet goes last.
        if entry.name != RESTORING:
            _remove(entry)
    (data_dir / RESTORING).unlink(missing_ok=True)
    if new:
        with suppress(OSError):
            data_dir.rmdir()


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
