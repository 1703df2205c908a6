"""``python -m bench.claims.sender``: sends prepared requests from a process of its own, as cheaply as Python can.

It prints ``ready`` when the pool is read and every connection is open, begins at a line on its standard input, and ends
with one line of JSON. Without a rate every connection sends as soon as it gets a response. With a rate a request is due
at its time whether a connection is free or not, and its latency counts from then, so that stalls of the server show.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.claims.numbers import quantile
from bench.claims.requests import PASS_MARK, TIME_MARK, Prepared, load
from bench.corpus_cache import ROOT

_ANSWER_SECONDS: Final = 20.0
_IDLE: Final = -1
_RECEIVE_BYTES: Final = 1 << 18
_PATH: Final = {"PYTHONPATH": str(ROOT)}


class Connection:
    """One persistent HTTP/1.1 connection."""

    def __init__(self, host: str, port: int, poll: select.epoll) -> None:
        self._address, self._poll = (host, port), poll
        self.since = 0.0
        self.events = _IDLE
        self._received = b""
        self._wanted = 0
        self.connect()

    def connect(self) -> None:
        """Open the connection."""
        self.socket = socket.create_connection(self._address, timeout=_ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(self.socket.fileno(), select.EPOLLIN)

    def send(self, data: bytes, events: int, since: float) -> None:
        """Send a whole request."""
        self.since, self.events = since, events
        self.socket.sendall(data)

    def receive(self) -> int:
        """Read what has arrived. Returns the status of a complete response, 0 before, -1 if an idle connection closed.

        Raises:
            ConnectionError: The server closed the connection instead of responding.
        """
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            if self.events != _IDLE:
                raise ConnectionError("the server closed a connection without a response")
            self._poll.unregister(self.socket.fileno())
            self.socket.close()
            return -1
        self._received = self._received + data if self._received else data
        if not self._wanted:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return 0
            at = self._received.find(b"content-length: ", 0, end) + 16
            self._wanted = end + 4 + int(self._received[at : self._received.find(b"\r\n", at)])
        if len(self._received) < self._wanted:
            return 0
        status = int(self._received[9:12])
        self._received, self._wanted = b"", 0
        return status


@dataclass
class Sending:
    """One run.

    Attributes:
        requests: The pool, sent again and again.
        events_per_second: The rate; 0 is as fast as responses come.
        fresh: Whether placeholders are replaced, which makes each event new.
        gate: No new request is sent while this file exists.
    """

    requests: list[Prepared]
    events_per_second: float
    fresh: bool
    first_pass: int = 0
    gate: str = ""
    latencies: list[float] = field(default_factory=list)
    events: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    late_seconds: float = 0.0

    def run(self, poll: select.epoll, connections: list[Connection], seconds: float) -> None:
        """Send for some seconds, then wait for requests in flight."""
        by_number = {each.socket.fileno(): each for each in connections}
        idle, sent = deque(connections), 0
        due = began = time.monotonic()
        while len(idle) < len(connections) or time.monotonic() < began + seconds:
            now = time.monotonic()
            if now > began + seconds + _ANSWER_SECONDS:
                raise TimeoutError("requests were not answered")
            while idle and due <= now < began + seconds and not (self.gate and os.path.exists(self.gate)):
                paced = self.events_per_second > 0
                self.late_seconds = max(self.late_seconds, now - due if paced else 0.0)
                events = self._send(idle.popleft(), sent, due if paced else time.monotonic())
                due += events / self.events_per_second if paced else 0.0
                sent += 1
            pause = max(0.001, min(0.05, due - time.monotonic())) if idle else 0.05
            for number, _ in poll.poll(pause):
                connection = by_number[number]
                status = connection.receive()
                if status < 0:
                    connection.connect()
                    by_number[connection.socket.fileno()] = connection
                elif status:
                    self._answered(connection, status)
                    idle.append(connection)

    def _send(self, connection: Connection, turn: int, since: float) -> int:
        """Send the request of a turn; returns the number of its events."""
        number, place = divmod(turn, len(self.requests))
        request = self.requests[place]
        body = request.body
        if self.fresh:
            now_ms = time.time_ns() // 1_000_000
            body = body.replace(PASS_MARK, b"%08x" % (self.first_pass + number)).replace(TIME_MARK, b"%d" % now_ms)
        connection.send(request.head + body, request.events, since)
        return request.events

    def _answered(self, connection: Connection, status: int) -> None:
        if status < 300:
            self.latencies.append(time.monotonic() - connection.since)
            self.events += connection.events
        else:
            self.refused[status] = self.refused.get(status, 0) + 1
        connection.events = _IDLE


@dataclass(frozen=True)
class Sent:
    """The result of a sender's process.

    Attributes:
        requests, events: Accepted requests and events.
        refused: Responses with a status of 300 and above, by status.
        wall_seconds: From the first request to the last response.
        cpu_seconds: CPU time of the sender's process.
        late_seconds: The longest time that a request was sent after it was due, because no connection was free.
        p50_ms, p99_ms, max_ms: Latency of a request, from when it was due.
    """

    requests: int
    events: int
    refused: dict[str, int]
    wall_seconds: float
    cpu_seconds: float
    late_seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class Sender:
    """Controls a sender's process.

    Args:
        pool: The file of prepared requests.
        host, port: The server.
        seconds: The duration.
        options: Further options of the command line.
    """

    def __init__(self, pool: Path, host: str, port: int, seconds: float, **options: float | bool | Path) -> None:
        command = [sys.executable, "-m", "bench.claims.sender", str(pool), "--host", host, "--port", str(port)]
        command += ["--seconds", str(seconds)]
        for name, value in options.items():
            if value is not False:
                command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        self._seconds = seconds
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | _PATH
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the sender does not start")

    def begin(self) -> None:
        """Make it start sending."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    @property
    def running(self) -> bool:
        """Whether it is still sending."""
        return self._process.poll() is None

    def end(self) -> Sent:
        """Wait until it has finished; returns its result."""
        result, _ = self._process.communicate(timeout=self._seconds + 2 * _ANSWER_SECONDS)
        if self._process.returncode:
            raise RuntimeError("the sender failed")
        return Sent(**json.loads(result))

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Send, and print the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.sender", description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.0, help="events per second; 0 is as fast as it goes")
    parser.add_argument("--fresh", action="store_true", help="each pass over the pool has new visitors")
    parser.add_argument(
        "--first-pass", type=int, default=0, help="number of the first pass, if there were others before"
    )
    parser.add_argument("--gate", default="", help="nothing is sent while this file exists")
    options = parser.parse_args()
    sending = Sending(load(options.pool), options.rate, options.fresh, options.first_pass, options.gate)
    poll = select.epoll()
    connections = [Connection(options.host, options.port, poll) for _ in range(options.connections)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    sending.run(poll, connections, options.seconds)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps(_result(sending, wall, cpu)) + "\n")


def _result(sending: Sending, wall_seconds: float, cpu_seconds: float) -> dict[str, Any]:
    return {
        "requests": len(sending.latencies),
        "events": sending.events,
        "refused": sending.refused,
        "wall_seconds": wall_seconds,
        "cpu_seconds": cpu_seconds,
        "late_seconds": sending.late_seconds,
        "p50_ms": 1_000 * quantile(sending.latencies, 0.5),
        "p99_ms": 1_000 * quantile(sending.latencies, 0.99),
        "max_ms": 1_000 * max(sending.latencies, default=0.0),
    }


if __name__ == "__main__":
    main()
