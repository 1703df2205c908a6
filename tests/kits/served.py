"""The application of a world behind a real HTTP server: in the process of the test, or as a process of its own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from connectors.mongo.async_client import connect_async
from tests.kits.tenancy import World


@asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    """Serve the world's application on a free port of the loopback interface; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(world.app, lifespan="off", ws="none", log_config=None, server_header=False))
    # Not `serve`: it takes over the signals, which are the test's.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([listener])
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await ticking
        await server.shutdown([listener])


@contextmanager
def processes(mongo_url: str, database: str, count: int) -> Iterator[list[str]]:
    """Serve the application in processes of their own, on one database; gives their URLs."""
    command = [sys.executable, "-m", "tests.kits.served", mongo_url, database]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        urls = []
        for each in started:
            assert each.stdout is not None
            urls.append(each.stdout.readline().strip())
        assert all(urls)
        yield urls
    finally:
        for each in started:
            each.kill()
            each.wait(10)
            if each.stdout is not None:
                each.stdout.close()


async def _serve(mongo_url: str, database: str) -> None:
    client = connect_async(mongo_url)
    async with served(World(client, database)) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))
