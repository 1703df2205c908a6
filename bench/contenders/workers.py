"""The product with two workers, each a process of its own as its supervisor starts them.

CPU is the sum of both; the clock runs from the first poll of either until the last record is in the ledger.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any, Final

from bench.contender import Task, report
from bench.contenders.flow import Until, drive
from bench.meter import Usage
from flows.delivery.child_process import free_addresses
from flows.delivery.fencing import take_generation
from marketplace.flows import CLICKS_FLOW
from runtime.parent_death import guarded

WORKERS: Final = 2


def run(task: Task) -> None:
    """Start the workers, wait until both have reported their usage, and end them."""
    addresses, generation = free_addresses(WORKERS), take_generation(task.settings, CLICKS_FLOW)
    processes = []
    for index in range(WORKERS):
        options = {**task.options, "addresses": addresses, "index": index, "generation": generation}
        command = guarded([sys.executable, "-m", "bench.contender", "worker", json.dumps(options)], os.getpid())
        processes.append(subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True))
    try:
        reports = [_read_report(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    longest = max(reports, key=lambda one: one["ended"] - one["began"])
    task.meter.set_usage(
        Usage(
            began=min(one["began"] for one in reports),
            ended=max(one["ended"] for one in reports),
            cpu_seconds=sum(one["cpu_seconds"] for one in reports),
            # Both watched the same two processes, over about the same time.
            broker_seconds=longest["broker_seconds"],
            clickhouse_seconds=longest["clickhouse_seconds"],
        )
    )


def work(task: Task) -> None:
    """One of the workers: it reports when all is done, and runs until it is ended, because the other may need it."""
    options = task.options
    stop = Until(task, lambda: report(task))
    drive(task, stop, options["generation"], options["addresses"], options["index"])
    threading.Event().wait()


def _read_report(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    # The engine writes there too, when one process is up before the other.
    for line in process.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    raise RuntimeError(f"a worker ended with code {process.wait()} before everything was counted")
