"""Whether a disk has room for a copy, and what to say where it has not."""

import errno
import os
from pathlib import Path
from typing import Final

from ops.stack.backup.contents import Contents
from ops.stack.errors import StackError

_MB: Final = 1 << 20
_BLOCK_BYTES: Final = 4096
_SPARE_BYTES: Final = 64 * _MB
"""For the listing, and for what a running stack writes before it stands still."""


def check_space(contents: Contents, folder: Path) -> None:
    """Make sure that a copy fits.

    Args:
        contents: What is to be copied.
        folder: On the disk that it is copied to.

    Raises:
        StackError: It does not.
        OSError: The disk cannot be looked at.
    """
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    entries = contents.files + contents.folders + contents.links
    needed = contents.disk_bytes + entries * _BLOCK_BYTES // 2 + _SPARE_BYTES
    if free < needed:
        raise StackError(f"{folder} has {free // _MB:,} MB free, and the copy needs {needed // _MB:,} MB")


def no_room(error: OSError) -> str:
    """What went wrong with a copy, as a person reads it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
