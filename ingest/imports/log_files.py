"""Reading log files line by line, plain or compressed, in bounded memory."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from backports import zstd

from connectors.errors import Refused
from marketplace.clicks.access_log import MAX_LINE_BYTES

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
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
        raw: The file as it is on disk, or a pipe.

    Raises:
        BrokenLogFile: The compressed data is damaged or truncated, or the file cannot be read.
    """
    number = 0
    try:
        lines = _decompressed(raw)
        while first := lines.readline(_KEPT_BYTES):
            number += 1
            line = _whole_line(number, first, lines)
            if number == 1 and line.content.startswith(_BYTE_ORDER_MARK):
                content = line.content.removeprefix(_BYTE_ORDER_MARK)
                line = LogLine(1, content, line.full_bytes - len(_BYTE_ORDER_MARK))
            yield line
    except (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
        raise BrokenLogFile(f"{name}: the compressed data breaks off after line {number:,}: {error}") from error
    except OSError as error:
        raise BrokenLogFile(f"{name}: {error.strerror or error} after line {number:,}") from error


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


def _decompressed(raw: BinaryIO) -> BinaryIO:
    buffered = io.BufferedReader(cast(io.RawIOBase, raw), _BUFFER_BYTES)
    magic = buffered.peek(len(_ZSTD_MAGIC))
    if magic.startswith(_GZIP_MAGIC):
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=buffered)), _BUFFER_BYTES))
    if magic.startswith(_ZSTD_MAGIC):
        return cast(BinaryIO, io.BufferedReader(zstd.ZstdFile(buffered), _BUFFER_BYTES))
    return buffered
