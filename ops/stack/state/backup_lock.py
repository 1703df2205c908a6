"""The lock that a backup of a data folder holds for as long as it needs the folder to be still."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError

BACKUP_LOCK: Final = "backup.lock"
_LOOK_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.01


@contextmanager
def backup_lock(data_dir: Path) -> Iterator[None]:
    """Hold the lock; the kernel takes it back however this process ends.

    Raises:
        StackError: Another backup has it.
    """
    descriptor = os.open(data_dir / BACKUP_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOOK_SECONDS
        while not _take(descriptor, fcntl.LOCK_EX):
            # Whoever looks whether there is a backup has the lock for that moment.
            if time.monotonic() > deadline:
                raise StackError(f"another backup of {data_dir} is under way")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def backup_is_under_way(data_dir: Path) -> bool:
    """Whether somebody holds the lock now."""
    try:
        descriptor = os.open(data_dir / BACKUP_LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _take(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
