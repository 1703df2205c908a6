"""Wishes to a running supervisor, as files in the data folder that it takes away when it has read them."""

import os
from dataclasses import dataclass
from pathlib import Path

_FOLDER = "control"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for: processes to restart, and process ids whose death is part of a drill."""

    restart: frozenset[str]
    expected_deaths: frozenset[int]


def wish_restart(data_dir: Path, process: str) -> None:
    """Ask for a restart of a process, also of one that was given up."""
    _write(data_dir, f"restart.{process}")


def announce_death(data_dir: Path, pid: int) -> None:
    """Say beforehand that a process is about to be killed on purpose."""
    _write(data_dir, f"expected.{pid}")


def take_wishes(data_dir: Path) -> Wishes:
    """Read and remove every wish."""
    restart: set[str] = set()
    expected: set[int] = set()
    folder = data_dir / _FOLDER
    for name in os.listdir(folder) if folder.is_dir() else ():
        verb, _, what = name.partition(".")
        if verb == "restart":
            restart.add(what)
        elif verb == "expected" and what.isdigit():
            expected.add(int(what))
        (folder / name).unlink(missing_ok=True)
    return Wishes(frozenset(restart), frozenset(expected))


def _write(data_dir: Path, name: str) -> None:
    folder = data_dir / _FOLDER
    folder.mkdir(exist_ok=True)
    (folder / name).touch()
