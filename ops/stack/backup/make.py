"""Makes a backup of a data folder, of a stack that runs or is down."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from marketplace.settings import Urls
from ops.stack.backup.contents import Copier, is_left_out, measure
from ops.stack.backup.manifest import DATA, FORMAT, Manifest, write_listing, write_manifest
from ops.stack.backup.space import check_space, no_room
from ops.stack.backup.still import LONGEST_PAUSE_SECONDS, Still, standing_still
from ops.stack.disk.folder import RESTORING
from ops.stack.errors import StackError
from ops.stack.state.backup_lock import backup_lock
from ops.stack.state.inspection import look
from ops.stack.state.model import StackState, write_state

_PART: Final = ".part"


def back_up(data_dir: Path, out: Path, most_seconds: float = LONGEST_PAUSE_SECONDS) -> Manifest:
    """Copy everything that a stack keeps, as it is at one instant.

    Whatever ends this, a stack that runs goes on, and there is no folder `out` that is half a backup.

    Args:
        data_dir: The stack's data folder.
        out: Where the backup is to be; it does not exist yet.
        most_seconds: The stack stands still for no longer than this.

    Raises:
        StackError: It cannot be made; there is no backup.
    """
    data_dir, out = data_dir.resolve(), _absolute(out)
    state, running = _backed_up(data_dir)
    part = _part_of(out, data_dir)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        check_space(measure(data_dir, is_left_out), out.parent)
        part.mkdir(mode=0o700)
    except OSError as error:
        raise StackError(f"the backup {out} cannot be made: {error.strerror or error}") from error
    try:
        manifest = _make(data_dir, part, state, most_seconds if running else None)
        os.sync()
        part.rename(out)
        _sync(out.parent)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise StackError(f"the backup {out} cannot be made: {no_room(error)}") from error
        raise
    return manifest


def _make(data_dir: Path, part: Path, state: StackState, most_seconds: float | None) -> Manifest:
    """Copy; everything that can wait is done when the stack goes on."""
    data = part / DATA
    data.mkdir(mode=0o700)
    taken_at = datetime.now(UTC)
    still: Still | None = None
    if most_seconds is None:
        with _down(data_dir):
            Copier().copy(data_dir, data, is_left_out)
    else:
        with standing_still(data_dir, most_seconds) as still:
            taken_at = datetime.now(UTC)
            Copier(time.monotonic() + most_seconds).copy(data_dir, data, is_left_out)
    write_state(data, _kept(state))
    checksum, contents = write_listing(part), measure(data)
    manifest = Manifest(
        FORMAT,
        version("marketplace"),
        taken_at.isoformat(timespec="milliseconds"),
        still is not None,
        _seconds(still),
        contents.files,
        contents.folders,
        contents.links,
        contents.bytes,
        checksum,
        state.brokers,
        sorted(info.name for info in state.processes if info.external),
        contents.disk_bytes,
    )
    write_manifest(part, manifest)
    return manifest


def _seconds(still: Still | None) -> float:
    return 0.0 if still is None else round(still.seconds, 3)


def _backed_up(data_dir: Path) -> tuple[StackState, bool]:
    """The stack of a folder, and whether it runs."""
    seen = look(data_dir)
    state = seen.state
    if state is None:
        raise StackError(f"there is no stack in {data_dir}")
    if (data_dir / RESTORING).exists():
        raise StackError(f"{data_dir} is half restored")
    if seen.standing in ("hangs", "ended"):
        raise StackError(seen.problem)
    if seen.standing == "alive" and state.phase != "running":
        raise StackError(f"the stack in {data_dir} is {state.phase}: try again when it runs or is down")
    return state, seen.standing == "alive"


@contextmanager
def _down(data_dir: Path) -> Iterator[None]:
    """A stack that is down, which nobody starts meanwhile."""
    with backup_lock(data_dir), (data_dir / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"the stack in {data_dir} is started or stopped right now: try again") from None
        seen = look(data_dir)
        if seen.standing != "none":
            raise StackError(f"the stack in {data_dir} was started meanwhile: try again")
        yield


def _kept(state: StackState) -> StackState:
    """What the next start reads of a state; no process or address in it can be taken for one of its own."""
    return replace(
        state,
        phase="stopped",
        supervisor_pid=0,
        supervisor_start=0,
        urls=Urls(),
        processes=[],
        problem="",
        heartbeat=None,
        disk=None,
        write_problem="",
        pause=None,
    )


def _part_of(out: Path, data_dir: Path) -> Path:
    if os.path.lexists(out):
        raise StackError(f"{out} exists already")
    part = out.with_name(out.name + _PART)
    if os.path.lexists(part):
        raise StackError(f"{part} is there: it is of a backup that is under way, or did not end; then remove it")
    if out.is_relative_to(data_dir) or data_dir.is_relative_to(out):
        raise StackError(f"a backup of {data_dir} cannot be in that folder, nor around it")
    return part


def _absolute(out: Path) -> Path:
    return out.parent.resolve() / out.name if out.name else out.resolve()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
