"""Reading log files line by line, plain or compressed, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from backports import zstd

from connectors.errors import Refused
from ingest.imports.xz_stream import XzStream
from marketplace.access_logs.recognition import SAMPLE_BYTES, SAMPLE_LINES
from marketplace.access_logs.requests import MAX_LINE_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BZIP2_MAGIC: Final = b"BZh"
_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_KEPT_BYTES: Final = MAX_LINE_BYTES + 1
_BUFFER_BYTES: Final = 256 * 1024
_PIECE_BYTES: Final = 4 * 1024
"""Where data are damaged, as much as this is lost of what decompresses before the damage is noticed."""


class BrokenLogFile(Refused):
    """The file cannot be read, or not any further; the message names it. Lines before the break may be imported."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    Attributes:
        number: Counted from 1.
        content: Its bytes without the line ending; of an overlong line only the beginning.
        full_bytes: Its length in the file, without the line ending.
        is_ended: It has a line ending, or nothing will be written behind it: without one it may be half a line.
    """

    number: int
    content: bytes
    full_bytes: int
    is_ended: bool = True


def read_lines(name: str, raw: BinaryIO, *, is_complete: bool = False) -> Iterator[LogLine]:
    """The lines of a file; its compression is detected from its first bytes.

    Args:
        name: For error messages.
        raw: The file as it is on disk, or a pipe; it is closed after its last line.
        is_complete: Nothing will be written behind it, so its last line needs no line ending.

    Raises:
        BrokenLogFile: The compressed data is damaged or truncated, or the file cannot be read.
    """
    number = 0
    try:
        with io.BufferedReader(cast(io.RawIOBase, raw), _BUFFER_BYTES) as buffered:
            lines = _decompressed(buffered)
            while first := lines.readline(_KEPT_BYTES):
                line = _whole_line(number + 1, first, lines, is_complete)
                number += 1
                if number == 1 and line.content.startswith(_BYTE_ORDER_MARK):
                    content = line.content.removeprefix(_BYTE_ORDER_MARK)
                    line = LogLine(1, content, line.full_bytes - len(_BYTE_ORDER_MARK), line.is_ended)
                yield line
    except (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError, lzma.LZMAError) as error:
        raise BrokenLogFile(f"{name}: the compressed data breaks off after line {number:,}: {error}") from error
    except OSError as error:
        raise BrokenLogFile(f"{name}: {error.strerror or error} after line {number:,}") from error


def first_lines(lines: Iterator[LogLine]) -> tuple[Sequence[LogLine], Iterator[LogLine]]:
    """A sample of the first lines, and all lines from the first on.

    A file that breaks within the sample breaks at the same place when its lines are read.
    """
    sample: list[LogLine] = []
    size_bytes = 0
    broken: BrokenLogFile | None = None
    try:
        for line in lines:
            sample.append(line)
            size_bytes += len(line.content)
            if len(sample) >= SAMPLE_LINES or size_bytes >= SAMPLE_BYTES:
                break
    except BrokenLogFile as error:
        broken = error

    def whole() -> Iterator[LogLine]:
        yield from sample
        if broken is not None:
            raise broken
        yield from lines

    return sample, whole()


def _whole_line(number: int, first: bytes, lines: BinaryIO, is_complete: bool) -> LogLine:
    full_bytes, tail = len(first), first[-2:]
    while not tail.endswith(b"\n"):
        further = lines.readline(_BUFFER_BYTES)
        if not further:
            return LogLine(number, first, full_bytes, is_complete)
        full_bytes += len(further)
        # A carriage return may have been the last byte of the part before.
        tail = (tail + further[-2:])[-2:]
    content_bytes = full_bytes - (2 if tail == b"\r\n" else 1)
    return LogLine(number, first[:content_bytes], content_bytes)


class _Pieces(io.RawIOBase):
    """A decompressed stream read in small pieces.

    A read that fails gives nothing, so it must not be one that has whole lines already.

    Args:
        read: Reads at most so many bytes, in one step of decompression.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer as far as one piece does; 0 at the end."""
        view = memoryview(buffer)
        data = self._read(min(len(view), _PIECE_BYTES))
        view[: len(data)] = data
        return len(data)


def _decompressed(buffered: io.BufferedReader[io.RawIOBase]) -> BinaryIO:
    magic = buffered.peek(len(_XZ_MAGIC))
    read: Callable[[int], bytes]
    if magic.startswith(_GZIP_MAGIC):
        read = gzip.GzipFile(fileobj=buffered).read1
    elif magic.startswith(_ZSTD_MAGIC):
        read = zstd.ZstdFile(buffered).read1
    elif magic.startswith(_BZIP2_MAGIC):
        read = bz2.BZ2File(buffered).read1
    elif magic.startswith(_XZ_MAGIC):
        read = cast("Callable[[int], bytes]", XzStream(buffered).read)
    else:
        return buffered
    return cast(BinaryIO, io.BufferedReader(_Pieces(read), _BUFFER_BYTES))
