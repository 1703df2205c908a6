"""`python reaper.py`: kills what a supervisor leaves behind. It needs the standard library only.

The supervisor keeps the other end of this process's stdin and writes one line per process it starts: `PID START`, and
`PID 0` for one it has buried itself. When stdin ends, however the supervisor ended, every process group named is
killed. The kernel's parent-death signal does the same for the processes themselves; this covers their children.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; `None` when there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def kill_group(pid: int, start: int | None) -> None:
    """Kill the process group a process leads, unless the number belongs to another process by now.

    The leader may be gone while its children live; then nobody else can have got its number as a group's.
    """
    now = start_time(pid)
    if now is None or now == start:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def main() -> None:
    """Remember until the end of stdin, then kill."""
    for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(wanted, signal.SIG_IGN)
    processes: dict[int, int] = {}
    for line in sys.stdin:
        pid, start = map(int, line.split())
        if start:
            processes[pid] = start
        else:
            processes.pop(pid, None)
    for pid, start in processes.items():
        kill_group(pid, start)


if __name__ == "__main__":
    main()
