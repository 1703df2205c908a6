"""A demo from beginning to end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ops.demo.company import Company, Opened, open_shops
from ops.demo.narrator import Narrator
from ops.demo.once import OnceRun, remember_beginning
from ops.demo.stage import Stage, open_stage
from ops.demo.summary import Summary
from ops.flow_runner import FlowOptions
from ops.provision import ensure_provisioned


@dataclass(frozen=True)
class DemoOptions:
    """What was asked for.

    Attributes:
        clicks: Events to send at the beginning.
        seed: Of the traffic.
        data: The data folder, if one was named.
        brokers: Kafka brokers of a stack that is started.
        workers: Processes of the flow.
        keep: Leave the parts running and the data in place.
    """

    clicks: int = 20_000
    seed: int = 1
    data: Path | None = None
    brokers: int = 1
    workers: int = 1
    keep: bool = False


def play_once(options: DemoOptions, narrator: Narrator) -> Summary:
    """Everything, once.

    Raises:
        StackError, DemoFailed, CollectorFailed, FlowFailed, SendFailed, Unavailable, Refused: It cannot be finished.
    """
    began = time.monotonic()
    with narrator.phase("up", "Starting Kafka, MongoDB, ClickHouse and Redis"):
        stage = open_stage(options.data, once=True, brokers=options.brokers)
    finished = False
    try:
        summary = _once_on(stage, options, narrator)
        summary.seconds = {**narrator.seconds, "total": round(time.monotonic() - began, 2)}
        finished = True
        return summary
    finally:
        stage.close(keep=options.keep and finished)


def _once_on(stage: Stage, options: DemoOptions, narrator: Narrator) -> Summary:
    company, opened = set_up(stage, options, narrator, fresh=True)
    beginning = remember_beginning(company)
    run = OnceRun(company, opened, beginning, narrator, options.seed, options.clicks)
    try:
        with narrator.phase("start", "Starting the collector and the flow"):
            company.start()
        run.send()
        return run.conclude(run.drain())
    finally:
        run.stop()
        company.stop()


def set_up(
    stage: Stage, options: DemoOptions, narrator: Narrator, *, fresh: bool
) -> tuple[Company, list[Opened]]:
    """Topics, tables, collections and stores."""
    with narrator.phase("provision", "Making topics, tables and stores"):
        ensure_provisioned(stage.settings)
        run = f"{options.seed}-{time.time_ns() // 1_000_000:x}"
        opened = open_shops(stage.settings, options.seed, run, fresh=fresh)
    return Company(stage, FlowOptions(workers=options.workers)), opened
