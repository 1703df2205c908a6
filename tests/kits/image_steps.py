"""What an engine would do with a Dockerfile, done by chroot in roots of Debian: the same steps, in the same order."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_STEP_SECONDS: Final = 900
_FRESH: Final = ("ca-certificates", "python3", "python3-pip", "python3-venv", "python-is-python3")
"""What an image of Python has, in Debian's own packages."""


@dataclass
class Stage:
    """One stage that was built.

    Attributes:
        root: Its root file system.
        environment: Its variables.
        user: Who runs in it.
        entrypoint: What runs.
        health: The command that asks how it is.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


def fresh_root(folder: Path) -> Path:
    """A Debian of its own, from where this machine gets its packages."""
    listed = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    sources = "".join(path.read_text() for path in listed if path.is_file())
    mirror = re.findall(r"(?:^deb .*?|^URIs: *)(https?://\S+/debian/?)(?:\s|$)", sources, re.M)[0]
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_FRESH)}", "bookworm", str(folder), mirror]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_STEP_SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-2_000:]
    for name in ("resolv.conf", "hosts", "ssl/certs/ca-certificates.crt"):
        shutil.copy(f"/etc/{name}", folder / "etc" / name)
    # Debian's own Python takes packages of others only where somebody insists; an image's does not mind.
    for mark in (folder / "usr/lib/python3.11").glob("EXTERNALLY-MANAGED"):
        mark.unlink()
    return folder


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions, with their lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def build(dockerfile: Path, context: Path, fresh: Path, folder: Path, outside: Mapping[str, str]) -> Stage:
    """Do all steps; returns the last stage.

    Args:
        dockerfile: The file.
        context: Where it copies from.
        fresh: The root file system that each stage begins with a copy of.
        folder: Where the stages are made.
        outside: Variables for commands, by which they find the registries that this machine uses.
    """
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage = Stage(fresh)
    for word, rest in instructions(dockerfile):
        known = {**arguments, **stage.environment}
        if word == "ARG":
            name, _, default = rest.partition("=")
            arguments.setdefault(name, default.strip('"'))
        elif word == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            stage = stages[name] = Stage(folder / name)
            subprocess.run(["cp", "-a", str(fresh), str(stage.root)], check=True)
        elif word == "ENV":
            stage.environment |= {
                key: _expanded(value, known) for key, value in (pair.split("=", 1) for pair in shlex.split(rest))
            }
        elif word == "WORKDIR":
            stage.folder = rest
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            _copy(rest.split(), context, stage, stages)
        elif word == "RUN":
            _run(rest, stage, {**outside, **arguments, **stage.environment})
        elif word == "USER":
            stage.user = rest
        elif word == "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        elif word == "HEALTHCHECK":
            stage.health = json.loads(rest.partition("CMD ")[2])
    return stage


def _expanded(text: str, known: Mapping[str, str]) -> str:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], path if found[1] == "PATH" else ""), text)


def _copy(words: list[str], context: Path, stage: Stage, stages: Mapping[str, Stage]) -> None:
    options = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")]
    place = stage.root / os.path.join(stage.folder, target).lstrip("/")
    if options:
        (other,) = [option.removeprefix("--from=") for option in options]
        for source in sources:
            shutil.copytree(stages[other].root / source.lstrip("/"), place, symlinks=True)
    elif sources == ["."]:
        for each in _taken(context):
            if each.is_dir():
                shutil.copytree(each, place / each.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            else:
                shutil.copy(each, place / each.name)
    else:
        taken = {each.name for each in _taken(context)}
        for source in sources:
            assert source in taken, f"{source} is not in the context"
            shutil.copy(context / source, place)


def _taken(context: Path) -> list[Path]:
    """What .dockerignore leaves of the context."""
    lines = (context / ".dockerignore").read_text().splitlines()
    return [context / line[1:] for line in lines if line.startswith("!")]


def _run(script: str, stage: Stage, environment: Mapping[str, str]) -> None:
    inside = f"exec chroot {stage.root} /bin/sh -c {shlex.quote(f'cd {stage.folder} && {script}')}"
    mounts = f"mount -t proc proc {stage.root}/proc && mount --rbind /dev {stage.root}/dev"
    command = ["unshare", "--mount", "sh", "-c", f"{mounts} && {inside}"]
    given = {"PATH": _expanded("${PATH}", {}), **environment}
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=_STEP_SECONDS, check=False)
    assert done.returncode == 0, f"{script}: {(done.stdout + done.stderr)[-3_000:]}"
