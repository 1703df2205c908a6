"""The data folder: it has salts, keys and everybody's clicks in it, so that nobody else may read it."""

import os
import stat
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError

RESTORING: Final = "restoring"
"""A file of a folder into which a backup is being copied: what is there is not whole."""

_PRIVATE: Final = 0o700


def make_private(data_dir: Path) -> bool:
    """Make the folder, or take others' rights to it away. Returns True where they had some.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
        StackError: it is not for one stack only, such as /tmp.
    """
    try:
        data_dir.mkdir(mode=_PRIVATE, parents=True)
        return False
    except FileExistsError:
        mode = stat.S_IMODE(data_dir.stat().st_mode)
        if not data_dir.is_dir():
            raise
    if mode & stat.S_ISVTX:
        raise StackError(f"{data_dir} is a folder that everybody shares: give the stack one of its own")
    if mode & ~_PRIVATE:
        os.chmod(data_dir, mode & _PRIVATE)
        return True
    return False
