"""Kafka's classes as Java keeps them in memory, made once: with them a broker is up in half the time.

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
from pathlib import Path
from typing import Final

from ops.stack.health.checks import check
from ops.stack.parts.kafka_jars import cache_dir, ensure_jars, find_java
from ops.stack.parts.kafka_nodes import KAFKA_CHECK, kafka_java, kafka_specs
from ops.stack.ports import HOST
from runtime.parent_death import guarded
from runtime.ports import free_ports

_START_SECONDS: Final = 60.0
_EXIT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1


def prepared_kafka() -> list[str]:
    """The beginning of Kafka's command lines, with everything there that it needs.

    Raises:
        StackError: Java is missing or too old, or the jars cannot be had.
    """
    java, jars = find_java(), ensure_jars()
    return kafka_java(java, jars, ensure_archive(java, jars))


def ensure_archive(java: str, jars: Path) -> Path | None:
    """The archive for this Java and these jars, made on the first call ever; None where that does not work.

    It takes about ten seconds, once. A failure is remembered by an empty file, so that it is not tried at every start.
    """
    version = subprocess.run([java, "-version"], capture_output=True, check=False).stderr
    digest = hashlib.sha256(version + str(jars).encode()).hexdigest()[:12]
    target = cache_dir() / f"{jars.name}-{digest}.jsa"
    if not target.exists():
        with target.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                sys.stderr.write("Preparing Kafka to start faster (once, about ten seconds)\n")
                _make(target, java, jars)
    return target if target.stat().st_size else None


def _make(target: Path, java: str, jars: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{target.stem}-", dir=target.parent) as name:
        folder = Path(name)
        draft = folder / "classes.jsa"
        broker, controller = free_ports(2)
        ports = {"kafka": broker, "kafka-controller": controller}
        (folder / "kafka").mkdir()
        record = f"-XX:ArchiveClassesAtExit={draft}"
        (spec,) = kafka_specs(folder / "kafka", ports, 1, kafka_java(java, jars), [record])
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                guarded(spec.command, os.getpid()), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder
            )
        try:
            made = _run(process, f"{HOST}:{broker}") and draft.exists()
        finally:
            process.kill()
            process.wait()
        if made:
            draft.rename(target)
        else:
            target.touch()


def _run(process: "subprocess.Popen[bytes]", url: str) -> bool:
    """Let the broker come up and end it; whether it ended in order, having written its classes."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if check(KAFKA_CHECK, url, 5.0).outcome == "fine":
            break
        time.sleep(_POLL_SECONDS)
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_EXIT_SECONDS) in (0, 128 + signal.SIGTERM)
    except subprocess.TimeoutExpired:
        return False
