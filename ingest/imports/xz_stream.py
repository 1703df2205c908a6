"""Decompressing ``.xz`` in bounded memory; the standard library's file object lets the file say how much it takes."""

from __future__ import annotations

import io
import lzma
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_MEMORY_BYTES: Final = 192 * 1024 * 1024
"""``xz -9`` needs 65 MiB to decompress; a file may ask for 4 GiB."""

_INPUT_BYTES: Final = 64 * 1024


class XzStream(io.RawIOBase):
    """The decompressed content of one or several ``.xz`` streams in a row.

    Args:
        raw: The compressed data.

    Raises:
        EOFError: On reading: the data ends within a stream.
        lzma.LZMAError: On reading: the data is damaged, or needs more memory than ``MAX_MEMORY_BYTES``.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._stream = self._new_stream()
        self._input = b""

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer as far as one step of decompression does; 0 at the end."""
        view = memoryview(buffer)
        while True:
            if self._stream.eof:
                if not self._next_stream():
                    return 0
            elif self._stream.needs_input and not self._input:
                self._input = self._raw.read(_INPUT_BYTES)
                if not self._input:
                    raise EOFError("the file ended before its end-of-stream marker")
            data, self._input = self._stream.decompress(self._input, len(view)), b""
            if data:
                view[: len(data)] = data
                return len(data)

    def _next_stream(self) -> bool:
        # Streams may be padded with zero bytes.
        rest = self._stream.unused_data.lstrip(b"\0")
        while not rest:
            more = self._raw.read(_INPUT_BYTES)
            if not more:
                return False
            rest = more.lstrip(b"\0")
        self._stream, self._input = self._new_stream(), rest
        return True

    @staticmethod
    def _new_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY_BYTES)
