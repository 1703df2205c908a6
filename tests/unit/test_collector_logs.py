"""The log of a collector in a flood."""

from __future__ import annotations

import subprocess
import sys

FLOOD = """
import logging
from ingest.logs import configure_logs
configure_logs()
for number in range(5_000):
    logging.getLogger("uvicorn.error").warning("Exceeded concurrency limit.")
    logging.getLogger("ingest.service").warning("kafka: %s", number)
logging.getLogger("ingest.service").error("another kind")
"""


def test_a_flood_of_requests_is_no_flood_of_lines() -> None:
    written = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True).stderr

    assert 0 < written.count("Exceeded concurrency limit.") <= 10
    assert 0 < written.count("kafka:") <= 10
    assert written.count("another kind") == 1
