"""Reading log files line by line, plain or compressed, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from backports import zstd

from connectors.errors import Refused
from ingest.imports.xz_stream import XzStream
from marketplace.access_logs.recognition import SAMPLE_BYTES, SAMPLE_LINES
from marketplace.access_logs.requests import MAX_LINE_BYTES

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BZIP2_MAGIC: Final = b"BZh"
_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_KEPT_BYTES: Final = MAX_LINE_BYTES + 1
_BUFFER_BYTES: Final = 256 * 1024


class BrokenLogFile(Refused):
    """The file cannot be read, or not any further; the message names it. Lines before the break may be imported."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    Attributes:
        number: Counted from 1.
        content: Its bytes without the line ending; of an overlong line only the beginning.
        full_bytes: Its length in the file, without the line ending.
    """

    number: int
    content: bytes
    full_bytes: int


def read_lines(name: str, raw: BinaryIO) -> Iterator[LogLine]:
    """The lines of a file; its compression is detected from its first bytes.

    Args:
        name: For error messages.
        raw: The file as it is on disk, or a pipe; it is closed after its last line.

    Raises:
        BrokenLogFile: The compressed data is damaged or truncated, or the file cannot be read.
    """
    number = 0
    try:
        with io.BufferedReader(cast(io.RawIOBase, raw), _BUFFER_BYTES) as buffered:
            lines = _decompressed(buffered)
            while first := lines.readline(_KEPT_BYTES):
                number += 1
                line = _whole_line(number, first, lines)
                if number == 1 and line.content.startswith(_BYTE_ORDER_MARK):
                    content = line.content.removeprefix(_BYTE_ORDER_MARK)
                    line = LogLine(1, content, line.full_bytes - len(_BYTE_ORDER_MARK))
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


def _whole_line(number: int, first: bytes, lines: BinaryIO) -> LogLine:
    full_bytes, tail = len(first), first[-2:]
    while not tail.endswith(b"\n"):
        further = lines.readline(_BUFFER_BYTES)
        if not further:
            return LogLine(number, first, full_bytes)
        full_bytes += len(further)
        # A carriage return may have been the last byte of the part before.
        tail = (tail + further[-2:])[-2:]
    content_bytes = full_bytes - (2 if tail == b"\r\n" else 1)
    return LogLine(number, first[:content_bytes], content_bytes)


def _decompressed(buffered: io.BufferedReader[io.RawIOBase]) -> BinaryIO:
    magic = buffered.peek(len(_XZ_MAGIC))
    stream: object
    if magic.startswith(_GZIP_MAGIC):
        stream = gzip.GzipFile(fileobj=buffered)
    elif magic.startswith(_ZSTD_MAGIC):
        stream = zstd.ZstdFile(buffered)
    elif magic.startswith(_BZIP2_MAGIC):
        stream = bz2.BZ2File(buffered)
    elif magic.startswith(_XZ_MAGIC):
        stream = XzStream(buffered)
    else:
        return buffered
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stream), _BUFFER_BYTES))
