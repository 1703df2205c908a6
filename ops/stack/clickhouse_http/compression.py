"""The encodings of HTTP bodies that ClickHouse speaks and clickhouse-connect sends."""

import zlib
from collections.abc import Callable
from typing import Final, Protocol

import lz4.frame
from backports import zstd

from ops.stack.clickhouse_http.errors import BAD_ARGUMENTS, QUERY_IS_TOO_LARGE, UNKNOWN_COMPRESSION_METHOD, QueryError


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


_DECOMPRESSORS: Final[dict[str, Callable[[], _Decompressor]]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
}


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(level=3, wbits=31)
    return compressor.compress(data) + compressor.flush()


_COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": _gzip,
    "deflate": lambda data: zlib.compress(data, level=3),
}


def decode(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its `Content-Encoding`; a body of several frames, one after the other, is one body.

    Raises:
        QueryError: the encoding is unknown, the body is damaged, or it would grow beyond `max_bytes`.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in _DECOMPRESSORS:
        raise QueryError(
            UNKNOWN_COMPRESSION_METHOD, f"Unknown Content-Encoding {encoding!r}", "UNKNOWN_COMPRESSION_METHOD"
        )
    parts: list[bytes] = []
    left = max_bytes
    while body:
        decompressor = _DECOMPRESSORS[encoding]()
        try:
            part = decompressor.decompress(body, left + 1)
        except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
            raise QueryError(BAD_ARGUMENTS, f"Cannot decompress the {encoding} body: {error}") from None
        left -= len(part)
        if left < 0:
            raise QueryError(QUERY_IS_TOO_LARGE, f"The body is larger than {max_bytes} bytes", "QUERY_IS_TOO_LARGE")
        if not decompressor.eof:
            raise QueryError(BAD_ARGUMENTS, f"The {encoding} body ends in the middle of a frame")
        parts.append(part)
        body = decompressor.unused_data or b""
    return b"".join(parts)


def choose(accepted: str) -> str | None:
    """The first encoding of an `Accept-Encoding` header that is served here, `None` for none of them."""
    names = (name.split(";")[0].strip().lower() for name in accepted.split(","))
    return next((name for name in names if name in _COMPRESSORS), None)


def encode(data: bytes, encoding: str) -> bytes:
    """The data in an encoding that `choose` gave."""
    return _COMPRESSORS[encoding](data)
