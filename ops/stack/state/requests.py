"""Requests to a running supervisor: sent to its beacon, which needs no room on the disk, or else left as files.

The supervisor takes the files of the data folder's `control` away when it has read them.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ops.stack.errors import StackError
from ops.stack.process_spec import ProcessSpec
from ops.stack.state.beacon import Request, ask_supervisor

_FOLDER = "control"
_LONGEST_PID = 10


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """Everything is to stand still for a backup, which holds its lock meanwhile.

    Attributes:
        token: made up by whoever asks, who knows the pause by it.
        most_seconds: for no longer than this.
    """

    token: str
    most_seconds: float


@dataclass(frozen=True, slots=True)
class Requests:
    """What was asked for: processes to restart, ids whose death is part of a drill, processes to run, a pause."""

    restart: frozenset[str] = frozenset()
    expected_deaths: frozenset[int] = frozenset()
    run: tuple[ProcessSpec, ...] = ()
    pause: PauseRequest | None = None

    def __or__(self, more: "Requests") -> "Requests":
        """Both; of two pauses the later one."""
        restart, expected = self.restart | more.restart, self.expected_deaths | more.expected_deaths
        return Requests(restart, expected, self.run + more.run, more.pause or self.pause)


def request_restart(data_dir: Path, process: str) -> None:
    """Ask for a restart of a process, also of one that was given up."""
    _write(data_dir, f"restart.{process}")


def announce_death(data_dir: Path, pid: int) -> None:
    """Say beforehand that a process is about to be killed on purpose."""
    _write(data_dir, f"expected.{pid}")


def request_process(data_dir: Path, spec: ProcessSpec) -> None:
    """Ask for a further process, or for another one in place of that of its name."""
    _write(data_dir, f"run.{spec.name}", msgspec.json.encode(spec))


def request_pause(data_dir: Path, request: PauseRequest) -> None:
    """Ask for a pause; the caller holds the lock of a backup."""
    _write(data_dir, "pause", msgspec.json.encode(request))


def take_requests(data_dir: Path) -> Requests:
    """Read and remove every request that was left as a file."""
    requests = Requests()
    folder, names = data_dir / _FOLDER, list[str]()
    with suppress(OSError):
        names = os.listdir(folder)
    for name in names:
        if name.startswith("."):
            continue
        # Whatever cannot be read or removed must not end the supervisor.
        with suppress(OSError):
            request = read_request(name, (folder / name).read_bytes())
            (folder / name).unlink(missing_ok=True)
            requests |= request
    return requests


def read_request(name: str, content: bytes) -> Requests:
    """The request of a name and a content; none where this version did not write it."""
    verb, _, what = name.partition(".")
    if verb == "restart":
        return Requests(restart=frozenset({what}))
    if verb == "expected" and what.isdecimal() and len(what) <= _LONGEST_PID:
        return Requests(expected_deaths=frozenset({int(what)}))
    if verb == "run":
        # What nobody can read was not written by this version and is no request of anybody who waits for it.
        with suppress(msgspec.MsgspecError):
            return Requests(run=(msgspec.json.decode(content, type=ProcessSpec),))
    if verb == "pause":
        with suppress(msgspec.MsgspecError):
            return Requests(pause=msgspec.json.decode(content, type=PauseRequest))
    return Requests()


def _write(data_dir: Path, name: str, content: bytes = b"") -> None:
    if ask_supervisor(data_dir, Request(name, content)) is not None:
        return
    folder = data_dir / _FOLDER
    # A name that begins with a dot is no request yet: the supervisor never sees half of one.
    draft = folder / f".{name}.{os.getpid()}"
    try:
        folder.mkdir(exist_ok=True)
        # A process's settings may have passwords in them.
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        draft.replace(folder / name)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StackError(f"the supervisor cannot be asked for {name}: {error.strerror}") from error
