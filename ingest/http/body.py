"""Reading a request body within limits: bytes as sent, bytes decompressed, time, and all bodies together."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from backports import zstd
from starlette.requests import ClientDisconnect, Request

from ingest.config import CollectorConfig
from ingest.faults import HttpFault, unavailable
from marketplace.clicks.client_address import bucket_name

_CONTENT_TYPES: Final = frozenset({"", "application/json", "text/plain"})
_DISCARD_BYTES: Final = 32 * 1024 * 1024
_DISCARD_SECONDS: Final = 2.0
_SHARES: Final = 4
"""One address may have at most a quarter of the bytes that are being read."""
_MAX_MEMBERS: Final = 64
"""The rest of the input is copied for each member, so that very many small ones would take seconds."""
_MAX_DIGITS: Final = 20
_GZIP_WINDOW_BITS: Final = 31
_ZSTD_WINDOW_LOG: Final = 23


class _Decompressor(Protocol):
    """The common interface of ``zlib`` and ``zstd`` decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class BodyReader:
    """Reads bodies; counts the bytes of all requests that are being read.

    Args:
        config: The limits.
    """

    def __init__(self, config: CollectorConfig) -> None:
        self._config = config
        self._reading_bytes = 0
        self._reading_of: dict[str, int] = {}
        self._share_bytes = max(config.max_body_bytes, config.max_reading_bytes // _SHARES)

    async def read(self, request: Request, address: str, admit: Callable[[bytes], None]) -> bytes:
        """The body, decompressed.

        Args:
            request: Whose body.
            address: The client's; it may have only a share of all bytes that are being read.
            admit: Called with the body as it was sent, before it is decompressed; may raise.

        Raises:
            HttpFault: 400 broken compression or a client that disconnected, 408 too slow, 413 too large, 415 an unknown
                type or encoding, 429 or 503 too many bytes are being read already.
        """
        encoding = _checked_encoding(request)
        if _declared_bytes(request) > self._config.max_body_bytes:
            if "expect" not in request.headers:
                await _discard(request.stream())
            raise self._too_large()
        try:
            async with asyncio.timeout(self._config.body_timeout_seconds):
                sent = await self._read_bounded(request, bucket_name(address))
        except TimeoutError:
            raise HttpFault(408, "body_timeout", "the body did not arrive in time", close=True) from None
        except ClientDisconnect:
            raise HttpFault(400, "disconnected", "the client disconnected", close=True) from None
        admit(sent)
        return decompress(sent, encoding, self._config.max_decoded_bytes)

    async def _read_bounded(self, request: Request, owner: str) -> bytes:
        chunks: list[bytes] = []
        size_bytes = 0
        stream = request.stream()
        try:
            async for chunk in stream:
                size_bytes += len(chunk)
                self._count(owner, len(chunk))
                if size_bytes > self._config.max_body_bytes:
                    chunks.clear()
                    await _discard(stream)
                    raise self._too_large()
                if self._reading_bytes > self._config.max_reading_bytes:
                    raise unavailable("too many bodies at one time")
                if self._reading_of[owner] > self._share_bytes:
                    raise HttpFault(429, "too_many_bodies", "too many bodies of this address", retry_after_seconds=2.0)
                chunks.append(chunk)
        finally:
            self._count(owner, -size_bytes)
        return b"".join(chunks)

    def _count(self, owner: str, nbytes: int) -> None:
        self._reading_bytes += nbytes
        reading_bytes = self._reading_of.get(owner, 0) + nbytes
        if reading_bytes:
            self._reading_of[owner] = reading_bytes
        else:
            self._reading_of.pop(owner, None)

    def _too_large(self) -> HttpFault:
        message = f"the body is larger than {self._config.max_body_bytes:,} bytes"
        return HttpFault(413, "body_too_large", message, close=True)


def decompress(sent: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Undo ``gzip`` or ``zstd``; never allocates more than the limit, whatever the input claims.

    Raises:
        HttpFault: 400 not that format, or truncated; 413 larger than the limit.
    """
    try:
        if encoding == "gzip":
            plain = _gunzip(sent, limit_bytes)
        elif encoding == "zstd":
            plain = _unzstd(sent, limit_bytes)
        else:
            plain = sent
    except (zlib.error, zstd.ZstdError, EOFError):
        raise HttpFault(400, "bad_compression", f"the body is not valid {encoding}") from None
    if len(plain) > limit_bytes:
        raise HttpFault(413, "body_too_large", f"the decompressed body is larger than {limit_bytes:,} bytes")
    return plain


def _gunzip(sent: bytes, limit_bytes: int) -> bytes:
    return _inflate(sent, limit_bytes, lambda: zlib.decompressobj(_GZIP_WINDOW_BITS))


def _unzstd(sent: bytes, limit_bytes: int) -> bytes:
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
    return _inflate(sent, limit_bytes, lambda: zstd.ZstdDecompressor(options=options))


def _inflate(sent: bytes, limit_bytes: int, start: Callable[[], _Decompressor]) -> bytes:
    """Decompress members or frames in sequence, up to one byte more than the limit."""
    plain, members = bytearray(), 0
    while sent and len(plain) <= limit_bytes:
        members += 1
        if members > _MAX_MEMBERS:
            raise HttpFault(400, "bad_compression", f"the body is compressed in more than {_MAX_MEMBERS} pieces")
        member = start()
        plain += member.decompress(sent, limit_bytes + 1 - len(plain))
        if not member.eof and len(plain) <= limit_bytes:
            raise EOFError
        sent = member.unused_data
    return bytes(plain)


async def _discard(stream: AsyncIterator[bytes]) -> None:
    """Read and discard the rest, within limits, so that a client that is still sending can read the response."""
    discarded_bytes = 0
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for chunk in stream:
                discarded_bytes += len(chunk)
                if discarded_bytes > _DISCARD_BYTES:
                    return
    except (TimeoutError, ClientDisconnect):
        return


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared.lstrip("0")[:_MAX_DIGITS] or "0") if declared.isascii() and declared.isdecimal() else 0


def _checked_encoding(request: Request) -> str:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in _CONTENT_TYPES:
        raise HttpFault(415, "content_type", "send application/json or text/plain", close=True)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "zstd"):
        raise HttpFault(415, "content_encoding", "send identity, gzip or zstd", close=True)
    return encoding
