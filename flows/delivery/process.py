"""One process of a flow: ``python -m flows.<name>``. ``flows.delivery.process_set`` starts it.

It reads its place in the cluster from the environment: ``FLOW_PROCESS``, ``FLOW_ADDRESSES`` (comma-separated),
``FLOW_GENERATION``, ``FLOW_PROGRESS_FD`` (see ``runtime.progress``) and optionally ``FLOW_ROUND_SECONDS``,
``FLOW_MAX_RECORDS`` and ``FLOW_MEMORY_BYTES``. Exit codes: 0 asked to stop, 2 settings that cannot be used, 3 fenced by
a newer start, 4 refused, 5 a part was unavailable.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from bytewax.testing import cluster_main

from flows.delivery.exit_codes import EXIT_CODES, EXIT_SETTINGS, ending_of
from flows.delivery.flow import Flow, ProcessShares, build
from flows.delivery.kafka_source import EPOCH_SECONDS, ROUND_SECONDS, BatchPolicy, Stop
from marketplace.settings import InvalidSettings, Settings
from runtime.garbage import rest_collector
from runtime.log_limit import RepeatLimit
from runtime.progress import ProgressReport

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")
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
        pace: How batches are cut.
        memory_bytes: What it may remember in; 0 for its part of a third of what there is.
    """

    index: int
    addresses: list[str]
    generation: int
    progress_fd: int | None
    pace: BatchPolicy
    memory_bytes: int

    @staticmethod
    def load(environment: Mapping[str, str]) -> ProcessSettings:
        """Read the environment.

        Raises:
            InvalidSettings: A value cannot be used; the message names the variable.
        """

        def read(name: str, kind: Callable[[str], _Value], default: _Value) -> _Value:
            text = environment.get(name, "").strip()
            try:
                return kind(text) if text else default
            except ValueError:
                raise InvalidSettings(f"{name}={text}: not a number") from None

        return ProcessSettings(
            index=read("FLOW_PROCESS", int, 0),
            addresses=[a for a in environment.get("FLOW_ADDRESSES", "").split(",") if a],
            generation=read("FLOW_GENERATION", int, 0),
            progress_fd=read("FLOW_PROGRESS_FD", int, None),
            pace=BatchPolicy(
                max_records=read("FLOW_MAX_RECORDS", int, 50_000),
                round_seconds=read("FLOW_ROUND_SECONDS", float, ROUND_SECONDS),
            ),
            memory_bytes=read("FLOW_MEMORY_BYTES", int, 0),
        )


def run_and_exit(flow: Flow[Any]) -> None:
    """Run a flow's process until it is asked to stop, and end it with the exit code that says why."""
    code = run(flow)
    logging.shutdown()
    # Threads of the engine may still hold on to a consumer; everything that matters is written.
    sys.stdout.flush()
    os._exit(code)


def run(flow: Flow[Any]) -> int:
    """Run until asked to stop; the exit code says what the supervisor should do."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatLimit())
    stop = Stop()
    stop.install()
    try:
        place, settings = ProcessSettings.load(os.environ), Settings.load(os.environ)
        report = ProgressReport(place.progress_fd)
    except (InvalidSettings, OSError) as error:
        log.error("%s", error)
        return EXIT_SETTINGS
    shares = ProcessShares(max(1, len(place.addresses)), place.memory_bytes)
    try:
        report.beat()
        dataflow = build(flow, settings, place.generation, place.pace, stop, report, shares)
        rest_collector(_NEW_OBJECTS)
        cluster_main(  # type: ignore[no-untyped-call]  # the engine ships no types
            dataflow, place.addresses, place.index, epoch_interval=timedelta(seconds=EPOCH_SECONDS)
        )
    except BaseException as error:
        return _exit_code(error, stop, report)
    return 0


def _exit_code(error: BaseException, stop: Stop, report: ProgressReport) -> int:
    """What the process was noted to leave for; the error that came out of the engine may say nothing of it."""
    report.end(*ending_of(error))
    ending, reason = report.latest.ending, report.latest.reason
    if stop.asked() and (ending == "unavailable" or isinstance(error, KeyboardInterrupt)):
        log.info("stopped: %s", reason or "asked twice")
        return 0
    if not ending:
        raise error
    log.error("stopped: %s", reason)
    return EXIT_CODES[ending]
