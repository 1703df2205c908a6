"""Kafka's and Connect's classes as Java keeps them in memory, made once: with them both are up sooner.

It is a convenience. Where it cannot be made, or does not fit the Java that reads it, Java loads the jars as ever.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from connectors.kafka.client_config import KafkaSecurity
from ops.stack.health.checks import check
from ops.stack.parts.connect_worker import CONNECT_MAIN, connect_java, write_worker
from ops.stack.parts.kafka_jars import (
    CONNECT_JARS,
    KAFKA_JARS,
    cache_dir,
    ensure_jars,
    find_java,
    jars_dir,
)
from ops.stack.parts.kafka_nodes import KAFKA_CHECK, kafka_java, kafka_specs
from ops.stack.ports import HOST
from ops.stack.process_spec import HealthCheck
from runtime.parent_death import guarded
from runtime.ports import free_ports

_START_SECONDS: Final = 60.0
_EXIT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_DRAFT: Final = "classes.jsa"


def prepared_kafka() -> list[str]:
    """The beginning of Kafka's command lines, with everything there that it needs.

    Raises:
        StackError: Java is missing or too old, or the jars cannot be had.
    """
    java, jars = find_java(), ensure_jars()
    return kafka_java(java, jars, ensure_archive(java, jars, "Kafka", _make_kafka))


def prepared_connect() -> list[str]:
    """The beginning of Connect's command line, with everything there that it needs.

    Raises:
        StackError: Java is missing or too old, or the jars cannot be had.
    """
    java, jars = find_java(), ensure_jars(CONNECT_JARS)
    # It is made beside a broker, and whose broker runs elsewhere has none of its jars.
    has_kafka = jars_dir(KAFKA_JARS).exists()
    return connect_java(java, jars, ensure_archive(java, jars, "Kafka Connect", _make_connect) if has_kafka else None)


def ensure_archive(java: str, jars: Path, title: str, make: Callable[[Path, str, Path], bool]) -> Path | None:
    """The archive for this Java and these jars, made on the first call ever; None where that does not work.

    It takes about ten seconds, once. A failure is remembered by an empty file, so that it is not tried at every start.

    Args:
        java: The program.
        jars: Their folder.
        title: What the jars are, for people.
        make: Makes the archive as ``classes.jsa`` in the folder that it is given first; says whether it did.
    """
    version = subprocess.run([java, "-version"], capture_output=True, check=False).stderr
    digest = hashlib.sha256(version + str(jars).encode()).hexdigest()[:12]
    target = cache_dir() / f"{jars.name}-{digest}.jsa"
    if not target.exists():
        with target.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                sys.stderr.write(f"Preparing {title} to start faster (once, about ten seconds)\n")
                with tempfile.TemporaryDirectory(prefix=f"{target.stem}-", dir=target.parent) as name:
                    draft = Path(name) / _DRAFT
                    if make(Path(name), java, jars) and draft.exists():
                        draft.rename(target)
                    else:
                        target.touch()
    return target if target.stat().st_size else None


def _make_kafka(folder: Path, java: str, jars: Path) -> bool:
    with _broker(folder, kafka_java(java, jars), [_recorded(folder)]) as (process, url):
        return _is_up(process, KAFKA_CHECK, url) and _ends(process)


def _make_connect(folder: Path, java: str, jars: Path) -> bool:
    with _broker(folder, prepared_kafka(), []) as (broker, url):
        if not _is_up(broker, KAFKA_CHECK, url):
            return False
        (port,) = free_ports(1)
        properties = write_worker(folder / "worker.properties", port, url, 1, KafkaSecurity())
        command = [*connect_java(java, jars), _recorded(folder), CONNECT_MAIN, str(properties)]
        with _started(folder, command) as worker:
            return _is_up(worker, HealthCheck("connect", url), f"http://{HOST}:{port}") and _ends(worker)


def _recorded(folder: Path) -> str:
    return f"-XX:ArchiveClassesAtExit={folder / _DRAFT}"


@contextmanager
def _broker(folder: Path, java: list[str], options: list[str]) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    broker, controller = free_ports(2)
    ports = {"kafka": broker, "kafka-controller": controller}
    (folder / "kafka").mkdir()
    (spec,) = kafka_specs(folder / "kafka", ports, 1, java, options)
    with _started(folder, spec.command) as process:
        yield process, f"{HOST}:{broker}"


@contextmanager
def _started(folder: Path, command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            guarded(command, os.getpid()), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _is_up(process: "subprocess.Popen[bytes]", what: HealthCheck, url: str) -> bool:
    """Whether it comes up in time."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if check(what, url, 5.0).outcome == "fine":
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _ends(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it ends in order, having written its classes."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_EXIT_SECONDS) in (0, 128 + signal.SIGTERM)
    except subprocess.TimeoutExpired:
        return False
