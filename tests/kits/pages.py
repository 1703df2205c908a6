"""Somebody's own pages, with the snippet on them, and browsers that nobody drives."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from marketplace.clicks.events import CollectedClick
from tests.kits.collector import WRITE_KEY, Collector, eventually, running_collector

HOSTS: Final = "--host-resolver-rules=MAP *.example 127.0.0.1"
"""For a browser: every name that ends so is this machine."""


@dataclass
class Site:
    """A site on this machine, whose pages are made while it runs, and the collector that they send to.

    Attributes:
        port: Where it listens.
        collector: Where its events go.
        pages: What is at a path; a path that is not there is a page with nothing on it.
        headers: Of all answers.
        asked: The path and the headers of each request.
        waiting: Paths that are answered when their event is set.
    """

    port: int
    collector: Collector
    pages: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    waiting: dict[str, threading.Event] = field(default_factory=dict)
    before: set[str] = field(default_factory=set)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a page."""
        return f"http://{host}:{self.port}{path}"

    def tag(self, options: str = "", *, key: str = f'data-key="{WRITE_KEY}"') -> str:
        """The documented tag."""
        return f'<script async src="{self.collector.url}/m.js" {key} {options}></script>'

    def put(self, path: str, body: str, *, head: str | None = None) -> None:
        """Make a page, by default with the documented tag."""
        self.pages[path] = f"<!doctype html><meta charset=utf-8>{self.tag() if head is None else head}{body}"

    def clear(self) -> None:
        """Forget what was there, and leave out what was collected."""
        self.before = {click.key for click in self.collector.clicks()}
        self.pages, self.headers, self.asked, self.waiting = {}, {}, [], {}

    def so_far(self) -> list[CollectedClick]:
        """What was collected, in the order in which it happened; what was sent again while a page was left, once."""
        clicks = {click.key: click for click in self.collector.clicks() if click.key not in self.before}
        return sorted(clicks.values(), key=lambda click: click.occurred_at_ms or 0)

    def events(self, count: int) -> list[CollectedClick]:
        """So many events, in the order in which they happened; more are a mistake, too."""
        eventually(lambda: len(self.so_far()) >= count, f"{count} events", 20)
        clicks = self.so_far()
        assert len(clicks) == count, [*map(seen, clicks)]
        return clicks

    def was_asked(self, path: str) -> bool:
        """Whether a page was asked for."""
        return any(asked == path for asked, _ in self.asked)


def seen(click: CollectedClick) -> tuple[str, str, str]:
    """What an event says: its type or its name, the path of its page, what was clicked."""
    return click.name or click.type, urlsplit(click.url).path, re.sub(r"^http://[^/]*", "", click.target)


@contextmanager
def site() -> Iterator[Site]:
    """A site and its collector."""
    with running_collector() as collector:
        made: list[Site] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, here = urlsplit(self.path).path, made[0]
                here.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
                if path in here.waiting:
                    here.waiting[path].wait(20)
                body = here.pages.get(path, "<!doctype html>nothing").encode()
                self.send_response(200)
                kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
                for name, value in {"content-type": kind, "content-length": str(len(body)), **here.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        made.append(Site(server.server_port, collector))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield made[0]
        finally:
            for event in made[0].waiting.values():
                event.set()
            server.shutdown()
            thread.join(20)
            server.server_close()


@contextmanager
def alone(*command: str, log: Path) -> Iterator[None]:
    """A browser that nobody drives: prerendering, for one, is left out where somebody watches."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
