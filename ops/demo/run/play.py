"""A check from beginning to end."""

from __future__ import annotations

import time

from flows.delivery.process_set import FlowOptions
from ops.demo.report.audit import remember_beginning
from ops.demo.report.narrator import Narrator
from ops.demo.report.summary import Summary
from ops.demo.run.once import OnceRun
from ops.demo.run.options import DemoOptions, ignoring_interrupts
from ops.demo.services.company import Company, close_history, open_shops
from ops.demo.services.stage import Stage, open_stage
from ops.demo.traffic.shops import DemoStore
from ops.provision import ensure_provisioned


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
        with ignoring_interrupts():
            stage.close(keep=options.keep and finished)


def _once_on(stage: Stage, options: DemoOptions, narrator: Narrator) -> Summary:
    company, opened = set_up(stage, options, narrator)
    beginning = remember_beginning(company)
    run = OnceRun(company, opened, beginning, narrator, options.seed, options.clicks)
    try:
        with narrator.phase("start", "Starting the collector and the flow"):
            company.start()
        run.send()
        company.patiently(lambda: close_history(stage.settings, opened))
        return run.conclude(run.drain())
    finally:
        with ignoring_interrupts():
            run.stop()
            company.stop()


def set_up(stage: Stage, options: DemoOptions, narrator: Narrator) -> tuple[Company, list[DemoStore]]:
    """Topics, tables, collections and stores."""
    with narrator.phase("provision", "Making topics, tables and stores"):
        ensure_provisioned(stage.settings)
        run = f"{options.seed}-{time.time_ns() // 1_000_000:x}"
        opened = open_shops(stage.settings, options.seed, run, fresh=True)
    return Company(stage, FlowOptions(workers=options.workers)), opened
