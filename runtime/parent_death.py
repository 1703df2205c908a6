"""`python parent_death.py PARENT [--once MARKER PREPARE... ;] COMMAND...`: become a command that dies with its parent.

The kernel sends the kill when the thread that forked ends, so the parent must fork from its main thread. The process
keeps its number: this script replaces itself by the command. It needs the standard library only.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_SEPARATOR: Final = ";"


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent ends, and leave when it has ended already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")


def guarded(command: list[str], parent: int) -> list[str]:
    """The command line that runs a command under this guard."""
    return [sys.executable, "-I", "-S", __file__, str(parent), *command]


def prepared_once(marker: Path, prepare: list[str], command: list[str]) -> list[str]:
    """A command for the guard that first runs another one, unless the marker says that this was done."""
    return ["--once", str(marker), *prepare, _SEPARATOR, *command]


def main() -> None:
    """Prepare once if asked, then turn into the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    die_with_parent(parent)
    if command[0] == "--once":
        marker = Path(command[1])
        end = command.index(_SEPARATOR)
        prepare, command = command[2:end], command[end + 1 :]
        if not marker.exists():
            done = subprocess.run(guarded(prepare, os.getpid()), check=False)
            if done.returncode != 0:
                sys.exit(done.returncode)
            marker.touch()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
