"""Containers without an engine: what compose says of one, done by the kernel's own means, as root.

A container has a root file system of its own (this machine's under a layer that takes what is written, or a folder),
its volumes, tmpfs and secrets at their places, the environment of its file and nothing else, its user, no capability;
and all of them share one network with nothing but loopback, in which they have their names and addresses.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.kits.compose import IMAGE, ROOT

_NEW_NETWORK: Final = 0x40000000
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STOP_SECONDS: Final = 60.0


def missing() -> str:
    """Why this machine cannot do it; empty where it can."""
    if os.geteuid() != 0:
        return "only root can make namespaces"
    absent = [name for name in ("ip", "nsenter", "setpriv", "unshare", "curl") if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} missing"
    layers = "-o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
    overlay = f"mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay o {layers}"
    tried = subprocess.run(["unshare", "--mount", "--net", "sh", "-c", overlay], capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


@dataclass
class Container:
    """One that was started."""

    name: str
    service: Mapping[str, Any]
    process: subprocess.Popen[bytes]
    log: Path
    environment: Mapping[str, str]

    def said(self, most: int = 3_000) -> str:
        return self.log.read_text(errors="replace")[-most:]


@dataclass
class Machine:
    """A network, and containers in it.

    Attributes:
        folder: Of everything.
        secrets: The folder of secrets, which takes the place of the one beside compose.yml.
        stand_ins: Further files and folders for the root file system of all, by their places in it.
        base: A folder that is the root file system of all; empty for this machine's own.
    """

    folder: Path
    secrets: Path
    stand_ins: Mapping[str, Path] = field(default_factory=dict)
    base: str = "/"
    holder: subprocess.Popen[bytes] | None = None
    containers: dict[str, Container] = field(default_factory=dict)

    def start(self, addresses: Sequence[str]) -> None:
        """Make the network."""
        lines = ["ip link set lo up", *(f"ip addr add {address}/32 dev lo" for address in addresses)]
        # It ends with this process, and everything in the network with it.
        script = " && ".join([*lines, "echo ready", "cat"])
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"ready\n"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread be in the network."""
        assert self.holder is not None
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as outside, open(f"/proc/{self.holder.pid}/ns/net") as network:
            assert libc.setns(network.fileno(), _NEW_NETWORK) == 0
            try:
                yield
            finally:
                assert libc.setns(outside.fileno(), _NEW_NETWORK) == 0

    def run(self, name: str, service: Mapping[str, Any], environment: Mapping[str, str]) -> Container:
        """Start a container.

        Args:
            name: Its name.
            service: What compose says of it.
            environment: All of its environment.
        """
        ours = ["marketplace"] if service["image"].startswith(IMAGE) else []
        command = [*(service.get("entrypoint") or ours), *(service.get("command") or [])]
        log = self.folder / f"{name}.log"
        given = {"PATH": _PATH, **environment}
        with log.open("ab") as output:
            # An engine gives the output to the container's user, who may open it again.
            os.chown(log, *map(int, service["user"].split(":")))
            process = subprocess.Popen(
                ["nsenter", f"--net={self._network}", "unshare", "--mount", "--propagation=private", "sh", "-c",
                 self._script(name, service, command)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=given, start_new_session=True,
            )  # fmt: skip
        self.containers[name] = Container(name, service, process, log, given)
        return self.containers[name]

    def beside(self, command: Sequence[str], name: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a process of this machine in the network, for a part that has no image here."""
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                ["nsenter", f"--net={self._network}", *command], stdin=subprocess.PIPE, stdout=output, stderr=output,
                env={**os.environ, **variables}, start_new_session=True,
            )  # fmt: skip
        self.containers[name] = Container(name, {}, process, self.folder / f"{name}.log", {})
        return process

    def health(self, name: str) -> tuple[int, str]:
        """Run the health command that compose has for a container, in it."""
        kind, *test = self.containers[name].service["healthcheck"]["test"]
        return self.execute(name, ["/bin/sh", "-c", *test] if kind == "CMD-SHELL" else test)

    def execute(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a container, as `docker compose exec` does; returns its exit code and what it said."""
        container = self.containers[name]
        done = subprocess.run(
            ["nsenter", f"--target={container.process.pid}", "--mount", "--net", "--root", "--wd=/tmp",
             *_as_user(container.service["user"]), *command],
            capture_output=True, text=True, env=dict(container.environment), timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).strip()

    def megabytes(self, name: str) -> float:
        """What all processes of a container have in memory, each shared page divided by who shares it."""
        found = 0
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
                if session == self.containers[name].process.pid:
                    found += int(re.findall(r"^Pss: +(\d+) kB", (entry / "smaps_rollup").read_text(), re.M)[0])
            except (OSError, IndexError):
                continue
        return found / 1024

    def stop(self, name: str) -> tuple[int, float]:
        """Stop one by its own signal; returns its exit code and how long it took."""
        container = self.containers[name]
        began = time.monotonic()
        number = getattr(signal, str(container.service.get("stop_signal", "SIGTERM")))
        if container.process.stdin is not None:
            container.process.stdin.close()
        container.process.send_signal(number)
        code = container.process.wait(_STOP_SECONDS)
        return code, time.monotonic() - began

    def end(self) -> None:
        """End whatever is left."""
        for container in self.containers.values():
            if container.process.poll() is None:
                os.killpg(container.process.pid, signal.SIGKILL)
                container.process.wait()
            if container.process.stdin is not None:
                container.process.stdin.close()
        if self.holder is not None:
            self.holder.communicate(timeout=_STOP_SECONDS)

    @property
    def _network(self) -> str:
        assert self.holder is not None
        return f"/proc/{self.holder.pid}/ns/net"

    def _script(self, name: str, service: Mapping[str, Any], command: Sequence[str]) -> str:
        """Make the root file system, and become the command in it."""
        layers, user = self.folder / "roots" / name, service["user"]
        layers.mkdir(parents=True, exist_ok=True)
        root = f"{layers}/root"
        lines = [
            "set -e",
            f"mount -t tmpfs none {layers}",
            f"mkdir {layers}/up {layers}/work {root}",
            f"mount -t overlay overlay -o lowerdir={self.base},upperdir={layers}/up,workdir={layers}/work {root}",
            f"mount --rbind /proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
        ]
        for place, source in {**self.stand_ins, "/etc/hosts": self.folder / "hosts"}.items():
            lines += _bind(root, str(source), place, kind="d" if source.is_dir() else "f")
        if self.base == "/":
            # Only this user's, where an interpreter or jars may be.
            lines += [f"chmod 755 {root}/root", *_bind(root, str(ROOT), str(ROOT), kind="d")]
        for volume in service.get("volumes") or []:
            source, target, *_mode = volume.split(":")
            lines += _bind(root, str(self._volume(source, user)), target, kind="f" if "." in target else "d")
        lines.append(f"mkdir -p {root}/run/secrets")
        for secret in service.get("secrets") or []:
            entry = {"source": secret, "target": f"/run/secrets/{secret}"} if isinstance(secret, str) else secret
            lines += _bind(root, str(self.secrets / entry["source"]), entry["target"], kind="f")
        for tmpfs in service.get("tmpfs") or []:
            place, _, options = tmpfs.partition(":")
            lines += [f"mkdir -p {root}{place}", f"mount -t tmpfs -o {options} none {root}{place}"]
        if service.get("read_only"):
            lines.append(f"mount -o remount,ro {root}")
        return "\n".join([*lines, "cd /", f"exec chroot {root} {shlex.join([*_as_user(user), *command])}"])

    def _volume(self, source: str, user: str) -> Path:
        if source.startswith("./"):
            return ROOT / source
        folder = self.folder / "volumes" / source
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, *map(int, user.split(":")))
        return folder


def _bind(root: str, source: str, place: str, kind: str) -> list[str]:
    above = f"mkdir -p {root}{os.path.dirname(place)}"
    make = f"mkdir -p {root}{place}" if kind == "d" else f"{above} && touch {root}{place}"
    return [make, f"mount --bind {source} {root}{place}"]


def _as_user(user: str) -> list[str]:
    number, group = user.split(":")
    return ["setpriv", f"--reuid={number}", f"--regid={group}", "--clear-groups", "--no-new-privs",
            "--bounding-set=-all", "--inh-caps=-all"]  # fmt: skip


def image_environment() -> dict[str, str]:
    """The variables that our image sets, as its Dockerfile says; its path is that of this checkout."""
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", last, re.M)
    found = dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split())
    return {**found, "PATH": f"{ROOT}/.venv/bin:{_PATH}"}
