"""`marketplace demo`: the shops get a history and are open, until Ctrl-C or, detached, until the stack goes down."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from connectors.errors import Unavailable
from flows.delivery.process_set import FlowOptions
from ops.demo.report.audit import remember_beginning
from ops.demo.report.narrator import Narrator
from ops.demo.report.summary import Summary
from ops.demo.run.history import History, read_history, write_history
from ops.demo.run.live import LiveRun, LiveTraffic
from ops.demo.run.once import OnceRun
from ops.demo.run.options import DemoOptions, ignoring_interrupts
from ops.demo.services.company import Company, close_history, open_shops
from ops.demo.services.sender import Target
from ops.demo.services.served import (
    TrafficRuns,
    ensure_services,
    service_url,
    sole_traffic,
    start_traffic,
    traffic_runs,
)
from ops.demo.services.stage import Stage, open_stage
from ops.demo.traffic.catalogue import write_shops
from ops.demo.traffic.shops import DemoStore
from ops.provision import ensure_provisioned
from runtime.sections import DEFAULT_DATA_DIR


def play_live(options: DemoOptions, narrator: Narrator, show: Callable[[Summary], None]) -> Summary:
    """Everything, and then live traffic until Ctrl-C, which ends it in order; detached, it goes on without us.

    Args:
        options: What was asked for.
        narrator: Told what happens.
        show: Given the numbers once the history is counted.

    Raises:
        StackError, DemoFailed, CollectorFailed, FlowFailed, SendFailed, Unavailable, Refused: It cannot go on.
        KeyboardInterrupt: Ctrl-C before the shops were open.
    """
    with narrator.phase("up", "Starting the parts, the click flow, the collector and the dashboard"):
        stage = open_stage(options.data, once=False, brokers=options.brokers, workers=options.workers)
    stays = False
    try:
        play = LivePlay(stage, options, narrator)
        summary = play.fill()
        show(summary)
        stays = play.go_on()
        summary.seconds = narrator.seconds
        return summary
    finally:
        with ignoring_interrupts():
            stage.close(keep=options.keep or stays)


class LivePlay:
    """The shops on a running stack.

    Args:
        stage: The stack.
        options: What was asked for.
        narrator: Told what happens.

    Raises:
        StackError, Unavailable, Refused: They cannot be opened.
    """

    def __init__(self, stage: Stage, options: DemoOptions, narrator: Narrator) -> None:
        self._stage, self._options, self._narrator = stage, options, narrator
        self._opened = self._open()
        self._company = Company(stage, FlowOptions(workers=options.workers), served=True)
        self._company.start()
        self._dashboard = service_url(stage.folder, "dashboard")
        narrator.say(f"The dashboard is at {self._dashboard}; what follows can be watched there.")

    def fill(self) -> Summary:
        """Give the shops their history unless they have it; the numbers, once all of it is counted.

        Raises:
            DemoFailed, FlowFailed, SendFailed, Unavailable: It cannot be.
        """
        folder, options = self._stage.folder, self._options
        stores = tuple(o.store.slug for o in self._opened)
        known, wanted = read_history(folder), History(options.seed, options.clicks, _now_ms(), stores)
        if known is not None and known.stores == stores and known.done:
            self._narrator.say("The shops have their history already.")
            return self._numbers(replace(options, clicks=0), wanted)
        if known is not None and known.is_like(wanted):
            self._narrator.say("The history was broken off; it is sent again, and what was counted stays as it is.")
            wanted = known
        write_history(folder, wanted)
        summary = self._numbers(options, wanted)
        write_history(folder, History(wanted.seed, wanted.clicks, wanted.now_ms, stores, done=True))
        return summary

    def go_on(self) -> bool:
        """Live traffic; whether it goes on without us.

        Raises:
            StackError, SendFailed, FlowFailed: It cannot be.
        """
        folder, options = self._stage.folder, self._options
        if options.detach:
            if not traffic_runs(folder):
                start_traffic(folder, self._stage.settings, self._company.collector.url, options.seed, options.rate)
            self._say_where(f"the shops are open; marketplace down{self._data_flag()} closes them")
            return True
        run = LiveRun(self._company, self._opened, self._narrator)
        collector = self._company.collector
        keys = {o.shop.name: o.write_key for o in self._opened}
        traffic = LiveTraffic(Target(collector.host, collector.port, keys), options.seed + _now_ms(), options.rate)
        try:
            with sole_traffic(folder):
                self._say_where("the shops are open until Ctrl-C")
                run.run(traffic)
        except TrafficRuns:
            self._say_where("live traffic runs already, and goes on after Ctrl-C")
            self._until_interrupted(run.follow)
            return True
        except KeyboardInterrupt:
            self._narrator.say("Closing the shops.")
        return False

    def _until_interrupted(self, work: Callable[[], None]) -> None:
        try:
            work()
        except KeyboardInterrupt:
            self._narrator.say("Looking away.")

    def _open(self) -> list[DemoStore]:
        stage, options = self._stage, self._options
        with self._narrator.phase("provision", "Making topics, tables and stores"):
            ensure_provisioned(stage.settings)
            opened = open_shops(stage.settings, options.seed, f"{options.seed}-{_now_ms():x}", fresh=False)
            write_shops(stage.folder, opened)
            ensure_services(stage.folder, stage.settings, options.workers)
        return opened

    def _numbers(self, options: DemoOptions, history: History) -> Summary:
        # The shops are the demo's own: all that was ever received of them is accounted for, as in their numbers.
        beginning = replace(remember_beginning(self._company), ledger=[])
        run = OnceRun(
            self._company,
            self._opened,
            beginning,
            self._narrator,
            history.seed,
            options.clicks,
            now_ms=history.now_ms,
        )
        try:
            if options.clicks:
                run.send_backlog()
            run.drain()
            return self._company.patiently(run.sum_up)
        finally:
            # A key that stays behind is known to nobody any more; the next demo replaces it.
            with ignoring_interrupts(), suppress(Unavailable):
                run.stop()
                close_history(self._stage.settings, self._opened)

    def _say_where(self, until: str) -> None:
        company, say, slug = self._company, self._narrator.say, self._opened[0].store.slug
        urls, collector = company.settings.urls, company.collector.url
        say("")
        say(f"  dashboard   {self._dashboard}/?store={slug}")
        say(f"  shop page   {collector}/shop/{slug}   click there, and see it on the dashboard")
        say(f"  collector   {collector}")
        say(f"  Kafka {urls.kafka}   ClickHouse {urls.clickhouse}   Redis {urls.redis}")
        say(f"  MongoDB     {urls.mongo}")
        say(f"  in another terminal: marketplace report --store {slug} --grain hour{self._data_flag()}")
        say(f"  {until}")
        say("")

    def _data_flag(self) -> str:
        folder = self._stage.folder
        if folder == Path(DEFAULT_DATA_DIR).resolve():
            return ""
        return f" --data {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
