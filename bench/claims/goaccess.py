"""``python -m bench.claims.goaccess``: hits and visitors of each day by GoAccess and by ``marketplace report``.

Three logs of invented visitors in three formats, or those that are named (``--log access.log=COMBINED``, with the name
that x are page views and refires together; every request is imported, and
GoAccess is asked to count visitors of whom all requests failed. Ends with 1 if a day differs.

It needs GoAccess (Debian's package) and starts a stack of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)
_STATUSES: Final = (200, 200, 200, 200, 304, 404, 301)
_HOST: Final = "shop.example"
_FIRST_DAY: Final = datetime(2026, 11, 20, tzinfo=UTC)
_DAYS: Final = 3
_VISITORS: Final = 150
_SEED: Final = 18


@dataclass(frozen=True)
class Request:
    """A request of an invented visitor."""

    at: datetime
    ip: str
    agent: str
    page: str
    status: int


def requests(seed: int) -> Iterator[Request]:
    """Requests of some days in the order of their times; some pages are asked for twice within two seconds."""
    rng = random.Random(seed)
    found = []
    for day in range(_DAYS):
        begin = _FIRST_DAY + timedelta(days=day)
        for visitor in range(_VISITORS):
            agent, at = rng.choice(_AGENTS), begin + timedelta(seconds=rng.randrange(80_000))
            for _ in range(rng.randrange(1, 24)):
                page = f"/p/{rng.randrange(40)}"
                twice = rng.random() < 0.08
                for after in (0, 1) if twice else (0,):
                    moment = at + timedelta(seconds=after)
                    if moment < begin + timedelta(days=1):
                        found.append(Request(moment, f"203.0.113.{visitor}", agent, page, rng.choice(_STATUSES)))
                at += timedelta(seconds=rng.randrange(3, 240))
    return iter(sorted(found, key=lambda request: request.at))


def _combined(request: Request) -> str:
    return (
        f"{request.ip} - - [{request.at:%d/%b/%Y:%H:%M:%S +0000}] "
        f'"GET {request.page} HTTP/1.1" {request.status} 512 "-" "{request.agent}"'
    )


def _vhost(request: Request) -> str:
    return f"{_HOST}:443 {_combined(request)}"


def _caddy(request: Request) -> str:
    asked = {
        "remote_ip": request.ip, "remote_port": "4711", "client_ip": request.ip, "proto": "HTTP/2.0", "method": "GET",
        "host": _HOST, "uri": request.page, "headers": {"User-Agent": [request.agent]},
    }  # fmt: skip
    line = {
        "level": "info", "ts": request.at.timestamp(), "logger": "http.log.access", "msg": "handled request",
        "request": asked, "bytes_read": 0, "duration": 0.01, "size": 512, "status": request.status, "resp_headers": {},
    }  # fmt: skip
    return json.dumps(line)


_FORMATS: Final[dict[str, Callable[[Request], str]]] = {"COMBINED": _combined, "VCOMBINED": _vhost, "CADDY": _caddy}


def by_goaccess(log: Path, form: str) -> dict[str, tuple[int, int]]:
    """Hits and visitors of each day (``YYYYMMDD``)."""
    answer = log.with_suffix(f".{form}.json")
    command = ["goaccess", str(log), f"--log-format={form}", "--no-global-config", "--4xx-to-unique-count"]
    subprocess.run([*command, "-o", str(answer)], check=True, capture_output=True, timeout=300)
    days = json.loads(answer.read_text())["visitors"]["data"]
    return {day["data"]: (day["hits"]["count"], day["visitors"]["count"]) for day in days}


class Stack:
    """A flow with its parts in a folder, by the command that people have."""

    def __init__(self, folder: Path) -> None:
        self._environment = {**os.environ, "MARKETPLACE_DATA": str(folder), "NO_COLOR": "1"}

    def command(self, *arguments: str) -> str:
        """What ``marketplace`` prints.

        Raises:
            subprocess.CalledProcessError: It failed; what it says stands on the terminal.
        """
        return subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=600,
        ).stdout

    def report(self, log: Path, store: str) -> dict[str, dict[str, Any]]:
        """Import a log and report each of its days (``YYYYMMDD``)."""
        self.command("ingest", "log", str(log), "--store", store, "--create-store", "--domain", _HOST, "--all-requests")
        rows = json.loads(self.command("report", "--store", store, "--bots", "include", "--json"))["rows"]
        return {row["bucket"].replace("-", ""): row for row in rows}


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _compare(stack: Stack, logs: list[tuple[Path, str]]) -> bool:
    _say("| log | day | GoAccess hits | views + refires | GoAccess visitors | visitors |\n|---|---|---|---|---|---|")
    equal = True
    for at, (log, form) in enumerate(logs):
        theirs, ours = by_goaccess(log, form), stack.report(log, f"compare-{at}")
        for day in sorted({*theirs, *ours}):
            hits, visitors = theirs.get(day, (0, 0))
            row = ours.get(day, {"views": 0, "refires": 0, "visitors": 0})
            name = form if day == min(theirs) else ""
            _say(
                f"| {name} | {datetime.strptime(day, '%Y%m%d').replace(tzinfo=UTC):%d %B %Y} | {hits:,} "
                f"| {row['views']:,} + {row['refires']:,} | {visitors:,} | {row['visitors']:,} |"
            )
            equal &= (hits, visitors) == (row["views"] + row["refires"], row["visitors"])
    return equal


def main() -> None:
    """Compare, and end with 1 if a day differs."""
    parser = argparse.ArgumentParser(description="GoAccess and `marketplace report` on the same logs.")
    parser.add_argument("--log", action="append", default=[], metavar="FILE=FORMAT", help="a log of your own")
    arguments = parser.parse_args()
    if shutil.which("goaccess") is None:
        parser.error("GoAccess is not installed: apt-get install goaccess")
    with tempfile.TemporaryDirectory(prefix="goaccess-") as made:
        folder = Path(made)
        logs: list[tuple[Path, str]] = []
        for text in arguments.log:
            path, _, form = text.rpartition("=")
            copy = folder / f"own{len(logs)}.log"
            shutil.copy(path, copy)
            logs.append((copy, form))
        if not logs:
            for at, (form, line) in enumerate(_FORMATS.items()):
                log = folder / f"{form.lower()}.log"
                log.write_text("".join(f"{line(request)}\n" for request in requests(_SEED + at)))
                logs.append((log, form))
        stack = Stack(folder / "data")
        stack.command("up", "--only", "flow", "--ports", "auto")
        try:
            equal = _compare(stack, logs)
        finally:
            stack.command("down")
    _say("all days are equal" if equal else "DAYS DIFFER")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
