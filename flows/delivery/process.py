"""One process of a flow: ``python -m flows.<name>``. ``flows.delivery.process_set`` starts it.

It reads its place in the cluster from the environment: ``FLOW_PROCESS``, ``FLOW_ADDRESSES`` (comma-separated),
``FLOW_GENERATION``, ``FLOW_PROGRESS_FD`` (see ``runtime.progress``) and optionally ``FLOW_ROUND_SECONDS``,
``FLOW_MAX_RECORDS`` and ``FLOW_MEMORY_BYTES``. Exit codes: 0 asked to stop, 1 a crash, 2 settings that cannot be used,
3 fenced by a newer start, 4 refused, 5 a part was unavailable.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from typing import Any, Final

from flows.delivery.bytewax_adapter import build, run_dataflow
from flows.delivery.exit_codes import EXIT_CODES, EXIT_SETTINGS, ending_of
from flows.delivery.flow import Flow, ProcessShares
from flows.delivery.topic_consumer import ROUND_SECONDS, BatchPolicy
from marketplace.flows import FlowSpec
from runtime.garbage import rest_collector
from runtime.logs import LogSettings, configure_logs
from runtime.progress import ProgressReport
from runtime.sections import Settings
from runtime.settings import EnvReader, InvalidSettings, Section, load
from runtime.signals import StopRequest, stop_on_signals

log = logging.getLogger(__name__)

PROCESS_SECTION: Final = Section(
    "A process of a flow", "Set by the service for each process that it starts; nobody else sets them."
)
PROCESS: Final = PROCESS_SECTION.whole("FLOW_PROCESS", "The number of the process.", 0)
ADDRESSES: Final = PROCESS_SECTION.text(
    "FLOW_ADDRESSES", "Addresses of all processes, with commas between them; empty for one alone."
)
GENERATION: Final = PROCESS_SECTION.whole("FLOW_GENERATION", "The number of this start.", 0)
PROGRESS_FD: Final = PROCESS_SECTION.whole("FLOW_PROGRESS_FD", "The descriptor of the page it reports to.", None)
MAX_RECORDS: Final = PROCESS_SECTION.whole("FLOW_MAX_RECORDS", "The most records in a batch.", 50_000, lowest=1)
ROUND_LENGTH: Final = PROCESS_SECTION.seconds(
    "FLOW_ROUND_SECONDS", "How often results are written.", ROUND_SECONDS, lowest=0
)
MEMORY_BYTES: Final = PROCESS_SECTION.whole(
    "FLOW_MEMORY_BYTES", "What the process remembers in; 0 for its part of a third of what there is.", 0
)

_NEW_OBJECTS = 200_000
"""A batch makes tens of thousands of messages and frees them by their counts; looking through them for cycles every 700
took 4 % of the flow's time."""


@dataclass(frozen=True)
class ProcessSettings:
    """What its environment says about a process.

    Attributes:
        index: Its number in the set.
        addresses: Of all processes of the set; empty where it is alone.
        generation: The number of this start.
        progress_fd: Where it reports; None for nowhere.
        batch_policy: How batches are cut.
        memory_bytes: What it may remember in; 0 for its part of a third of what there is.
    """

    index: int
    addresses: list[str]
    generation: int
    progress_fd: int | None
    batch_policy: BatchPolicy
    memory_bytes: int

    @staticmethod
    def read(env: EnvReader) -> ProcessSettings:
        """Read the process's section."""
        return ProcessSettings(
            index=env.read(PROCESS),
            addresses=[a for a in env.read(ADDRESSES).split(",") if a],
            generation=env.read(GENERATION),
            progress_fd=env.read(PROGRESS_FD),
            batch_policy=BatchPolicy(max_records=env.read(MAX_RECORDS), round_seconds=env.read(ROUND_LENGTH)),
            memory_bytes=env.read(MEMORY_BYTES),
        )


def read(env: EnvReader, flow: FlowSpec) -> tuple[LogSettings, ProcessSettings, Settings]:
    """Read the sections that a process needs."""
    return LogSettings.read(env), ProcessSettings.read(env), Settings.read(env, needs=flow.needs)


def run_and_exit(flow: Flow[Any]) -> None:
    """Run a flow's process until it is asked to stop, and end it with the exit code that says why."""
    code = run(flow)
    logging.shutdown()
    # Threads of the engine may still hold on to a consumer; everything that matters is written.
    sys.stdout.flush()
    os._exit(code)


def run(flow: Flow[Any]) -> int:
    """Run until asked to stop; the exit code says what the supervisor should do."""
    stop = stop_on_signals()
    try:
        logs, place, settings = load(os.environ, lambda env: read(env, flow.spec))
        report = ProgressReport(place.progress_fd)
    except (InvalidSettings, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_SETTINGS
    configure_logs(logs)
    shares = ProcessShares(max(1, len(place.addresses)), place.memory_bytes)
    try:
        report.beat()
        dataflow = build(flow, settings, place.generation, place.batch_policy, stop, report, shares)
        rest_collector(_NEW_OBJECTS)
        run_dataflow(dataflow, place.addresses, place.index)
    except BaseException as error:
        return _exit_code(error, stop, report)
    return 0


def _exit_code(error: BaseException, stop: StopRequest, report: ProgressReport) -> int:
    """What the process was noted to leave for; the error that came out of the engine may say nothing of it."""
    report.end(*ending_of(error))
    ending, reason = report.latest.ending, report.latest.reason
    if stop.asked() and ending == "unavailable":
        log.info("stopped: %s", reason)
        return 0
    if not ending:
        raise error
    log.error("stopped: %s", reason)
    return EXIT_CODES[ending]
