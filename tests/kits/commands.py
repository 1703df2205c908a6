"""The ``marketplace`` command in a process of its own, which is forked off one that has imported everything already.

A test waits a tenth of the time for it that a new interpreter takes to import the clients of all parts. How the command
starts in a new one is what the tutorials' tests see, and those that press Ctrl-C.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
MARKETPLACE: Final = "from ops.cli import main; main()"
_LOCK: Final = threading.Lock()
_MOST_BYTES: Final = 1 << 20


def run_command(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    code: str = MARKETPLACE,
    stdin: bytes = b"",
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """What ``subprocess.run`` gives of the command.

    Args:
        arguments: Of the command.
        cwd: Its working directory.
        env: Its whole environment.
        code: What is run, in place of all of ``marketplace``.
        stdin: What it can read.
        timeout: Seconds after which it is killed.

    Raises:
        TimeoutExpired: It was.
    """
    given = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env), "code": code}).encode()
    done, done_in = os.pipe()
    pipes = [os.pipe(), os.pipe()]
    texts = [b"", b""]

    def read(at: int) -> None:
        with open(pipes[at][0], "rb") as stream:
            texts[at] = stream.read()

    with tempfile.TemporaryFile() as given_in:
        given_in.write(given)
        given_in.write(stdin)
        given_in.seek(0)
        with _LOCK:
            socket.send_fds(_server(), [len(given).to_bytes(4)], [given_in.fileno(), pipes[0][1], pipes[1][1], done_in])
    for descriptor in (pipes[0][1], pipes[1][1], done_in):
        os.close(descriptor)
    readers = [threading.Thread(target=read, args=(at,), daemon=True) for at in (0, 1)]
    for reader in readers:
        reader.start()
    with open(done, "rb") as ends:
        pid = int(ends.readline())
        deadline = time.monotonic() + timeout
        in_time = bool(select.select([ends], [], [], timeout)[0])
        if in_time:
            code_of_exit = int(ends.readline())
            for reader in readers:
                # What it has left running may have its output open still, as a shell would see it.
                reader.join(max(0.0, deadline - time.monotonic()))
                in_time = in_time and not reader.is_alive()
    if not in_time:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(list(arguments), timeout)
    out, error = (text.decode() for text in texts)
    return subprocess.CompletedProcess(list(arguments), code_of_exit, out, error)


@cache
def _server() -> socket.socket:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kits.commands", str(its.fileno())],
        cwd=ROOT, env={**clean, "PYTHONPATH": str(ROOT)}, pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    its.close()

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


def serve(asked: socket.socket) -> None:
    """Fork for each command that is asked for, until nobody is there to ask."""
    from ops.cli import make_app

    make_app()
    for name in ("confluent_kafka.admin", "pymongo", "clickhouse_connect", "pyarrow", "redis.asyncio", "httpx"):
        import_module(name)
    while True:
        size, descriptors, _, _ = socket.recv_fds(asked, 4, 4)
        if not size:
            return
        if os.fork() == 0:
            asked.close()
            _follow(int.from_bytes(size), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _follow(size: int, given: int, out: int, error: int, done: int) -> None:
    """Run a command in a child and say how it has ended."""
    command = json.loads(os.read(given, size))
    pid = os.fork()
    if pid == 0:
        os.close(done)
        for at, descriptor in enumerate((given, out, error)):
            os.dup2(descriptor, at)
            os.close(descriptor)
        os._exit(_run(command))
    for descriptor in (out, error):
        os.close(descriptor)
    os.write(done, f"{pid}\n".encode())
    os.write(done, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    os._exit(0)


def _run(command: dict[str, Any]) -> int:
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["env"])
    time.tzset()
    sys.argv = ["marketplace", *command["arguments"]]
    code = 0
    try:
        exec(command["code"], {"__name__": "__main__"})
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter ends
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked_here:
        serve(asked_here)
