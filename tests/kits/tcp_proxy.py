"""A TCP proxy in front of a part, which can refuse, freeze and slow its connections without killing anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from runtime.ports import free_ports


class TcpProxy:
    """A TCP proxy that can refuse, freeze and delay: the part behind it fails, hangs or is slow.

    Args:
        target: A URL; only its host and port matter.

    Attributes:
        delay_seconds: How long everything that passes is kept back.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = target
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay_seconds = 0.0
        self.port = free_ports(1)[0]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The target's URL, through the proxy."""
        return self._target.replace(f"{self._host}:{self._port}", f"127.0.0.1:{self.port}", 1)

    def open(self) -> None:
        """Let connections through."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def cut(self) -> None:
        """Cut all connections and take no new ones."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def freeze(self) -> None:
        """Take connections and what is sent, and pass nothing on until :meth:`thaw`."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def thaw(self) -> None:
        """Pass on what was kept back, and all that comes."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Let connections through while the block runs."""
        self.open()
        try:
            yield
        finally:
            self.cut()

    def close(self) -> None:
        """Refuse connections for good and end the thread."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.close()
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._host, self._port)
            self._links.add(inner_writer)
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
            inner_writer.close()
            self._links.discard(inner_writer)
        finally:
            writer.close()
            self._links.discard(writer)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
