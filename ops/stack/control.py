"""Wishes to a running supervisor, as files in the data folder that it takes away when it has read them."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ops.stack.specs import ProcessSpec

_FOLDER = "control"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for: processes to restart, process ids whose death is part of a drill, processes to run."""

    restart: frozenset[str]
    expected_deaths: frozenset[int]
    run: tuple[ProcessSpec, ...] = ()


def wish_restart(data_dir: Path, process: str) -> None:
    """Ask for a restart of a process, also of one that was given up."""
    _write(data_dir, f"restart.{process}")


def announce_death(data_dir: Path, pid: int) -> None:
    """Say beforehand that a process is about to be killed on purpose."""
    _write(data_dir, f"expected.{pid}")


def wish_process(data_dir: Path, spec: ProcessSpec) -> None:
    """Ask for a further process, or for another one in place of that of its name."""
    _write(data_dir, f"run.{spec.name}", msgspec.json.encode(spec))


def take_wishes(data_dir: Path) -> Wishes:
    """Read and remove every wish."""
    restart: set[str] = set()
    expected: set[int] = set()
    run: list[ProcessSpec] = []
    folder = data_dir / _FOLDER
    for name in os.listdir(folder) if folder.is_dir() else ():
        verb, _, what = name.partition(".")
        if verb == "restart":
            restart.add(what)
        elif verb == "expected" and what.isdigit():
            expected.add(int(what))
        elif verb == "run":
            # What nobody can read was not written by this version and is no wish of anybody who waits for it.
            with suppress(msgspec.MsgspecError, OSError):
                run.append(msgspec.json.decode((folder / name).read_bytes(), type=ProcessSpec))
        elif verb == "":
            continue
        (folder / name).unlink(missing_ok=True)
    return Wishes(frozenset(restart), frozenset(expected), tuple(run))


def _write(data_dir: Path, name: str, content: bytes = b"") -> None:
    folder = data_dir / _FOLDER
    folder.mkdir(exist_ok=True)
    # A name that begins with a dot is no wish yet: the supervisor never sees half of one.
    draft = folder / f".{name}.{os.getpid()}"
    draft.write_bytes(content)
    draft.replace(folder / name)
