"""What the tests of the embedded stack share."""

import gc
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.stack import Part, Stack
from ops.stack.supervisor.reaper import start_time
from tests.kits.commands import run_command

ROOT = Path(__file__).resolve().parents[2]
LIGHT: frozenset[Part] = frozenset({"clickhouse", "redis"})
CLI = "import typer; from ops.commands.stack import register; app = typer.Typer(); register(app); app()"


def eventually(condition: Callable[[], bool], timeout_seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def processes_of(stack: Stack) -> dict[int, int]:
    """Every process of a running stack with its start time, the supervisor's children included."""
    state = stack.state()
    everyone = [state.supervisor_pid, *(info.pid for info in state.processes if info.pid is not None)]
    children = Path(f"/proc/{state.supervisor_pid}/task/{state.supervisor_pid}/children").read_text().split()
    found = {pid: start_time(pid) for pid in {*everyone, *map(int, children)}}
    return {pid: start for pid, start in found.items() if start is not None}


def all_gone(processes: dict[int, int]) -> bool:
    return all(start_time(pid) != start for pid, start in processes.items())


def command(folder: Path, *arguments: str, cli: str = CLI, **variables: str) -> tuple[int, str]:
    """A command's exit code and all it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    environment |= {"PYTHONPATH": str(ROOT), "MARKETPLACE_DATA": str(folder), **variables}
    done = run_command(*arguments, cwd=Path.cwd(), env=environment, code=cli, timeout=90)
    return done.returncode, done.stdout + done.stderr


def polled(mongo_url: str) -> str:
    """The URL for a client of a test, which lives for some milliseconds.

    A client that watches its server's changes opens a connection for that some time after its first one.
    """
    return f"{mongo_url}&serverMonitoringMode=poll"


@contextmanager
def leftovers_collected() -> Iterator[None]:
    """Around a client that leaves a connection open where its event loop ends at once: no later test fails for it.

    PyMongo closes no socket whose connection is cancelled while it is made (``except OSError`` in its
    ``_async_create_connection``), and a connection with TLS is closed some turns of the loop after its client says so.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed", ResourceWarning)
        try:
            yield
        finally:
            gc.collect()
