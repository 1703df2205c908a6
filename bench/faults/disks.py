"""``python -m bench.faults.disks``: the disk of each part is full for two minutes under load, then has space again.

Each part keeps its data on a small file system of its own (tmpfs, so only root can run this), and so do the state file
and the logs. It prints the same table as ``bench.faults.hangs``. The parts recover without help.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.claims.numbers import say
from bench.faults.drill import drill, product
from bench.faults.hangs import show

PARTS: Final = ("kafka", "clickhouse", "mongo", "redis")
DISKS: Final = (*PARTS, "state")
_MEGABYTES: Final = {"kafka": 1_024, "clickhouse": 1_024, "mongo": 1_024, "redis": 128, "state": 64}
_FILLER: Final = "filler"
_CHUNK: Final = b"\0" * (1 << 20)


@contextmanager
def small_disks(folder: Path) -> Iterator[None]:
    """Mount a file system for the folder, and one for each part in it.

    Raises:
        PermissionError: Only root can mount.
    """
    if os.geteuid() != 0:
        raise PermissionError("small file systems can be mounted by root only")
    with ExitStack() as mounted:
        for name in ("state", *PARTS):
            place = folder if name == "state" else folder / name
            place.mkdir(exist_ok=True)
            size = f"size={_MEGABYTES[name]}m,mode=0700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=True)
            mounted.callback(subprocess.run, ["umount", "--lazy", str(place)], check=False)
        yield


@contextmanager
def full(folder: Path, name: str) -> Iterator[None]:
    """Fill a disk; the space is freed at the end."""
    filler = (folder if name == "state" else folder / name) / _FILLER
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(_CHUNK):
                continue
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(_CHUNK[:512]):
                continue
        yield
    finally:
        filler.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drills; returns 1 if an acknowledged event is not counted exactly once, 2 if nothing can be mounted."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults.disks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long each disk is full (120)")
    parser.add_argument("--stores", type=int, default=100, help="how many stores send (100)")
    parser.add_argument("--rate", type=float, default=200.0, help="events a second (200)")
    parser.add_argument("--only", nargs="*", choices=DISKS, default=list(DISKS), help="whose disk (all in turn)")
    asked = parser.parse_args(arguments)
    found = []
    for name in asked.only:
        with tempfile.TemporaryDirectory(prefix="disks-") as place, ExitStack() as stack:
            folder = Path(place) / "data"
            folder.mkdir()
            try:
                stack.enter_context(small_disks(folder))
            except PermissionError as error:
                say(str(error))
                return 2
            running = stack.enter_context(product(folder, asked.stores))
            process = "kafka" if name == "state" else name
            seen = drill(running, process, full(folder, name), asked.seconds, asked.rate, say=say)
            seen.name = name
            found.append(seen)
    show(found)
    return int(any(seen.missing or seen.twice for seen in found))


if __name__ == "__main__":
    sys.exit(main())
