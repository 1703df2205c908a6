"""A demo from beginning to end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marketplace.settings import DEFAULT_DATA_DIR
from ops.demo.audit import remember_beginning
from ops.demo.company import Company, Opened, open_shops
from ops.demo.live import LiveRun, LiveTraffic
from ops.demo.narrator import Narrator
from ops.demo.once import OnceRun
from ops.demo.sender import Target
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
        with ignoring_interrupts():
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
        with ignoring_interrupts():
            run.stop()
            company.stop()


def play_live(options: DemoOptions, narrator: Narrator) -> Summary:
    """Everything, and then live traffic until Ctrl-C, which ends it in order.

    Raises:
        StackError, DemoFailed, CollectorFailed, FlowFailed, SendFailed, Unavailable, Refused: It cannot go on.
        KeyboardInterrupt: Ctrl-C before the shops were open.
    """
    with narrator.phase("up", "Starting Kafka, MongoDB, ClickHouse and Redis"):
        stage = open_stage(options.data, once=False, brokers=options.brokers)
    try:
        return _live_on(stage, options, narrator)
    finally:
        with ignoring_interrupts():
            stage.close(keep=options.keep)


def _live_on(stage: Stage, options: DemoOptions, narrator: Narrator) -> Summary:
    company, opened = set_up(stage, options, narrator, fresh=False)
    run = OnceRun(company, opened, remember_beginning(company), narrator, options.seed, options.clicks)
    collector = company.collector
    target = Target(collector.host, collector.port, {o.shop.name: o.write_key for o in opened})
    traffic = LiveTraffic(target, options.seed + 1)
    summary = Summary(seed=options.seed, data=str(stage.folder))
    try:
        with narrator.phase("start", "Starting the collector and the flow"):
            company.start()
        run.send_backlog()
        _say_where(company, opened, narrator)
        try:
            LiveRun(company, opened, narrator, options.seed).run(traffic)
        except KeyboardInterrupt:
            summary.ok = True
            narrator.say("Closing the shops.")
    finally:
        with ignoring_interrupts():
            run.stop()
            traffic.stop()
            company.stop()
    for sent in (run.sender.sent, traffic.sender.sent):
        summary.sent += sent.events
        summary.accepted += sent.accepted
        summary.rejected_at_the_door += sent.rejected
    summary.seconds = narrator.seconds
    return summary


def _say_where(company: Company, opened: list[Opened], narrator: Narrator) -> None:
    urls = company.settings.urls
    narrator.say("")
    narrator.say(f"  collector   {company.collector.url}")
    narrator.say(f"  Kafka       {urls.kafka}")
    narrator.say(f"  ClickHouse  {urls.clickhouse}")
    narrator.say(f"  MongoDB     {urls.mongo}")
    narrator.say(f"  Redis       {urls.redis}")
    data = f" --data {company.stage.folder}" if company.stage.folder != Path(DEFAULT_DATA_DIR).resolve() else ""
    narrator.say(f"  in another terminal: marketplace report --store {opened[0].store.slug} --grain hour{data}")
    narrator.say("  the shops are open until Ctrl-C")
    narrator.say("")


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Finish cleaning up whatever is pressed meanwhile."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def set_up(stage: Stage, options: DemoOptions, narrator: Narrator, *, fresh: bool) -> tuple[Company, list[Opened]]:
    """Topics, tables, collections and stores."""
    with narrator.phase("provision", "Making topics, tables and stores"):
        ensure_provisioned(stage.settings)
        run = f"{options.seed}-{time.time_ns() // 1_000_000:x}"
        opened = open_shops(stage.settings, options.seed, run, fresh=fresh)
    return Company(stage, FlowOptions(workers=options.workers)), opened
