"""What a backup has of a data folder, and the copying of it."""

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError
from ops.stack.state.backup_lock import BACKUP_LOCK

_LEFT_OUT: Final = re.compile(
    rf"lock|{re.escape(BACKUP_LOCK)}|state\.json(\..*)?|logs|control|run|proxy|owner|restoring",
)
"""At the top of the folder: what says who runs, what they have logged, and the proxy's files, which are made again."""

_FICLONE: Final = 0x40049409
_CHUNK_BYTES: Final = 1 << 24
_SLOW: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF})
_NO_CLONES: Final = _SLOW | {errno.ENOTTY, errno.EPERM, errno.ETXTBSY}


@dataclass(slots=True)
class Contents:
    """What was found or copied.

    Attributes:
        files: How many.
        folders: How many, without the top one.
        links: How many symbolic links.
        bytes: The sum of the files' sizes.
        disk_bytes: What they take of a disk; less where files have holes.
    """

    files: int = 0
    folders: int = 0
    links: int = 0
    bytes: int = 0
    disk_bytes: int = 0


def is_left_out(name: str) -> bool:
    """Whether an entry at the top of a data folder is in no backup."""
    return _LEFT_OUT.fullmatch(name) is not None


def measure(folder: Path, leave_out: Callable[[str], bool] = lambda name: False) -> Contents:
    """What copying a folder would copy.

    Args:
        folder: It may change meanwhile.
        leave_out: Says so of an entry at the top.
    """
    found = Contents()
    for entry, _ in _entries(folder, leave_out):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        _note(found, status)
    return found


class Copier:
    """Copies a tree: files with their holes, as clones where the file system has them, and links as they are.

    Sockets and other files that are no data are left out, and so is what is gone when its turn comes.

    Args:
        deadline: In seconds of `time.monotonic`; it does not copy for longer.
    """

    def __init__(self, deadline: float = float("inf")) -> None:
        self._deadline = deadline
        self._clones = True

    def copy(self, source: Path, target: Path, leave_out: Callable[[str], bool] = lambda name: False) -> Contents:
        """Copy the entries of a folder into one that is there and has none of these names.

        Raises:
            StackError: It takes too long.
            OSError: Something cannot be read or written.
        """
        copied, folders = Contents(), list[tuple[Path, os.stat_result]]()
        for entry, below in _entries(source, leave_out):
            if time.monotonic() > self._deadline:
                raise StackError("copying takes too long")
            place = target / below
            try:
                status = entry.stat(follow_symlinks=False)
                if entry.is_symlink():
                    place.symlink_to(os.readlink(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    place.mkdir(mode=0o700)
                    folders.append((place, status))
                elif stat.S_ISREG(status.st_mode):
                    self._copy_file(entry.path, place, status)
            except FileNotFoundError:
                if os.path.lexists(entry.path):
                    raise
                continue
            _note(copied, status)
        for place, status in reversed(folders):
            os.chmod(place, stat.S_IMODE(status.st_mode))
            os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
        return copied

    def _copy_file(self, source: str, target: Path, status: os.stat_result) -> None:
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                if not (status.st_size and self._clone(reader, writer)):
                    self._copy_data(reader, writer, status.st_size)
                os.fchmod(writer, stat.S_IMODE(status.st_mode))
                os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _clone(self, reader: int, writer: int) -> bool:
        """Whether the file system let both files share their blocks; one that cannot is asked once."""
        if not self._clones:
            return False
        try:
            fcntl.ioctl(writer, _FICLONE, reader)
        except OSError as error:
            if error.errno not in _NO_CLONES:
                raise
            self._clones = False
        return self._clones

    def _copy_data(self, reader: int, writer: int, size: int) -> None:
        os.truncate(writer, size)
        for begin, end in _data(reader, size):
            os.lseek(reader, begin, os.SEEK_SET)
            os.lseek(writer, begin, os.SEEK_SET)
            left = end - begin
            while left > 0:
                if time.monotonic() > self._deadline:
                    raise StackError("copying takes too long")
                count = _copy_some(reader, writer, min(left, _CHUNK_BYTES))
                if count == 0:
                    break
                left -= count


def _copy_some(reader: int, writer: int, count: int) -> int:
    try:
        return os.copy_file_range(reader, writer, count)
    except OSError as error:
        if error.errno not in _SLOW:
            raise
    chunk = os.read(reader, count)
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(writer, rest) :]
    return len(chunk)


def _data(reader: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data and no holes, from and to."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(reader, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = min(size, os.lseek(reader, begin, os.SEEK_HOLE))
        yield begin, end


def _entries(folder: Path, leave_out: Callable[[str], bool]) -> Iterator[tuple["os.DirEntry[str]", Path]]:
    """Everything below a folder with its path from there; a folder comes before what is in it."""
    waiting = [(folder, Path())]
    while waiting:
        place, below = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except FileNotFoundError:
            if place == folder:
                raise
            continue
        for entry in entries:
            if place == folder and leave_out(entry.name):
                continue
            yield entry, below / entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append((Path(entry.path), below / entry.name))


def _note(contents: Contents, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        contents.links += 1
    elif stat.S_ISDIR(status.st_mode):
        contents.folders += 1
    elif stat.S_ISREG(status.st_mode):
        contents.files += 1
        contents.bytes += status.st_size
        contents.disk_bytes += status.st_blocks * 512
