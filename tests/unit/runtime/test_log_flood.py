"""The log of a process in a flood, and when it ends by an error that nothing catches."""

from __future__ import annotations

import json
import subprocess
import sys

FLOOD = """
import logging
from runtime.logs import configure_logs
configure_logs()
for number in range(5_000):
    logging.getLogger("uvicorn.error").warning("Exceeded concurrency limit.")
    logging.getLogger("ingest.collect.service").warning("kafka: %s", number)
logging.getLogger("ingest.collect.service").error("another kind")
"""
ENDING = """
import threading, warnings
from runtime.logs import LogSettings, configure_logs
configure_logs(LogSettings("json"))
warnings.warn("this is old")
def fail():
    raise RuntimeError("no mongodb://app:hunter2@db/ here")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


def test_a_flood_of_requests_is_no_flood_of_lines() -> None:
    written = run(FLOOD).stderr

    assert 0 < written.count("Exceeded concurrency limit.") <= 10
    assert 0 < written.count("kafka:") <= 10
    assert written.count("another kind") == 1


def test_what_ends_a_process_or_a_thread_is_logged_like_everything_else() -> None:
    done = run(ENDING)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert done.returncode == 1
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "py.warnings"),
        ("critical", "uncaught"),
        ("critical", "uncaught"),
    ]
    assert all("RuntimeError: no mongodb://app:<redacted>@db/ here" in line["traceback"] for line in lines[1:])
    assert "hunter2" not in done.stderr
