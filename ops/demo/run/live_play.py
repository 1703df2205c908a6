"""`marketplace demo`: a history, then live traffic until Ctrl-C or, detached, until the stack is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from connectors.errors import Unavailable
from flows.delivery.process_set import FlowOptions
from marketplace.settings import ALL_PARTS
from ops.context import data_flag
from ops.demo.orders.live import ORDERS_PER_MINUTE, LiveOrders
from ops.demo.orders.numbers import OrderNumbers
from ops.demo.orders.run import OrdersRun
from ops.demo.report.addresses import account_lines, url_lines
from ops.demo.report.audit import read_baseline
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.report.summary import Summary
from ops.demo.run.history import History, read_history, write_history
from ops.demo.run.live import LiveRun, LiveTraffic
from ops.demo.run.once import OnceRun
from ops.demo.run.options import DemoOptions, ignoring_interrupts
from ops.demo.run.play import pages_of, places_in
from ops.demo.services.demo_accounts import DemoAccount, ensure_accounts, somebody_has_an_account
from ops.demo.services.demo_catalogs import ensure_catalogs, ensure_reviews
from ops.demo.services.demo_processes import DemoProcesses, close_history, open_shops
from ops.demo.services.demo_stack import DemoStack, open_demo_stack
from ops.demo.services.sender import Target
from ops.demo.services.served import (
    TrafficAlreadyRuns,
    ensure_services,
    service_url,
    sole_traffic,
    start_traffic,
    traffic_runs,
)
from ops.demo.traffic.keys import write_keys
from ops.demo.traffic.shops import DemoStore
from ops.provision import ensure_provisioned


def play_live(options: DemoOptions, printer: ProgressPrinter, show: Callable[[Summary], None]) -> Summary:
    """Run the whole demo; returns at Ctrl-C, or when live traffic runs in the background.

    Args:
        options: The command's options.
        printer: Reports progress.
        show: Called with the numbers once the history is counted.

    Raises:
        StackError, DemoFailed, CollectorFailed, FlowFailed, SendFailed, Unavailable, Refused: The demo cannot continue.
        KeyboardInterrupt: Ctrl-C before live traffic began.
    """
    with printer.phase("up", "Starting the parts and the services"):
        demo_stack = open_demo_stack(options.data, once=False, brokers=options.brokers, workers=options.workers)
    stays = False
    try:
        play = LivePlay(demo_stack, options, printer)
        summary = play.fill()
        summary.urls, summary.accounts = play.urls, play.make_accounts()
        summary.orders = play.order()
        summary.ok = summary.ok and (summary.orders is None or summary.orders.ok)
        show(summary)
        stays = play.go_on()
        summary.seconds = printer.seconds
        return summary
    finally:
        with ignoring_interrupts():
            demo_stack.close(keep=options.keep or stays)


class LivePlay:
    """The demo on a running stack.

    Args:
        demo_stack: The stack.
        options: The command's options.
        printer: Reports progress.

    Attributes:
        urls: What can be opened while it runs.

    Raises:
        StackError, Unavailable, Refused: The shops cannot be opened.
    """

    def __init__(self, demo_stack: DemoStack, options: DemoOptions, printer: ProgressPrinter) -> None:
        self._demo_stack, self._options, self._printer = demo_stack, options, printer
        self._opened = self._open()
        self._processes = DemoProcesses(demo_stack, FlowOptions(workers=options.workers), served=True)
        self._processes.start()
        self.urls = self._find_urls()
        self._accounts: list[DemoAccount] = []
        self._is_new = True
        dashboard = service_url(demo_stack.folder, "dashboard")
        if self._processes.retry(lambda: somebody_has_an_account(demo_stack.settings)):
            printer.say(f"The dashboard is at {dashboard}; new passwords for it come at the end.")
        else:
            printer.say(f"The dashboard is at {dashboard}; what follows can be watched there.")

    def fill(self) -> Summary:
        """Send the shops' history unless they have one; returns the numbers once all of it is counted.

        Raises:
            DemoFailed, FlowFailed, SendFailed, Unavailable: The history cannot be sent or counted.
        """
        folder, options = self._demo_stack.folder, self._options
        stores = tuple(o.store.slug for o in self._opened)
        known, wanted = read_history(folder), History(options.seed, options.clicks, _now_ms(), stores)
        if known is not None and known.stores == stores and known.done:
            self._printer.say("The shops have their history already.")
            self._is_new = False
            return self._numbers(replace(options, clicks=0), wanted)
        if known is not None and known.is_like(wanted):
            self._printer.say("The history was interrupted; it is sent again, and nothing counts twice.")
            wanted = known
        write_history(folder, wanted)
        summary = self._numbers(options, wanted)
        write_history(folder, History(wanted.seed, wanted.clicks, wanted.now_ms, stores, done=True))
        return summary

    def make_accounts(self) -> list[DemoAccount]:
        """Make the accounts that people sign in with, or set new passwords. From now on the dashboard asks for one.

        Raises:
            DemoFailed, Unavailable: They cannot be made.
        """
        settings, opened = self._demo_stack.settings, self._opened
        pages_url = service_url(self._demo_stack.folder, "dashboard")
        with self._printer.phase("accounts", "Making accounts to sign in with"):
            self._accounts = self._processes.retry(
                lambda: ensure_accounts(settings, opened, pages_url, datetime.now(UTC))
            )
            self._processes.retry(lambda: ensure_reviews(settings, opened, datetime.now(UTC)))
        return self._accounts

    def order(self) -> OrderNumbers | None:
        """Let buyers order, where the shops have no history yet; returns None where they have, or nobody orders.

        Raises:
            DemoFailed, FlowFailed, StackError, Unavailable: Orders cannot be placed, or do not end.
        """
        if not self._options.orders or not self._is_new:
            return None
        options, processes = self._options, self._processes
        places = places_in(self._demo_stack.folder)
        pages = pages_of(places, processes.collector, self._opened)
        run = OrdersRun(processes.settings, places, self._accounts, self._printer, options.seed, options.orders, pages)
        return run.play(processes.watch)

    def go_on(self) -> bool:
        """Run live traffic. Returns True if it goes on after this process.

        Raises:
            StackError, SendFailed, FlowFailed: Live traffic cannot be started, or cannot continue.
        """
        folder, options = self._demo_stack.folder, self._options
        if options.detach:
            if not traffic_runs(folder):
                per_minute = ORDERS_PER_MINUTE if options.orders else 0.0
                start_traffic(folder, self._demo_stack.settings, options.seed, options.rate, per_minute)
            self._say_where(f"the shops are open; marketplace down{self._data_flag()} closes them")
            return True
        run = LiveRun(self._processes, self._opened, self._printer)
        collector = self._processes.collector
        keys = {o.shop.name: o.write_key for o in self._opened}
        seed = options.seed + _now_ms()
        traffic = LiveTraffic(Target(collector.host, collector.port, keys), seed, options.rate)
        places = places_in(folder)
        pages = pages_of(places, collector, self._opened)
        orders = LiveOrders(self._processes.settings, places, pages, seed, ORDERS_PER_MINUTE)
        try:
            with sole_traffic(folder):
                self._say_where("the shops are open until Ctrl-C")
                run.run(traffic, orders if options.orders else None)
        except TrafficAlreadyRuns:
            self._say_where("live traffic runs already, and goes on after Ctrl-C")
            self._until_interrupted(run.follow)
            return True
        except KeyboardInterrupt:
            self._printer.say("Closing the shops.")
        return False

    def _until_interrupted(self, work: Callable[[], None]) -> None:
        try:
            work()
        except KeyboardInterrupt:
            self._printer.say("Live traffic goes on.")

    def _open(self) -> list[DemoStore]:
        demo_stack, options = self._demo_stack, self._options
        with self._printer.phase("provision", "Making topics, tables and stores"):
            ensure_provisioned(demo_stack.settings)
            opened = open_shops(demo_stack.settings, options.seed, f"{options.seed}-{_now_ms():x}", fresh=False)
            write_keys(demo_stack.folder, opened)
            ensure_catalogs(demo_stack.settings, opened, datetime.now(UTC))
            own = demo_stack.stack is not None
            ensure_services(demo_stack.folder, demo_stack.settings, options.workers, own=own)
        return opened

    def _numbers(self, options: DemoOptions, history: History) -> Summary:
        # The shops are the demo's own: the ledger is read from its beginning, as are their numbers.
        baseline = replace(read_baseline(self._processes), ledger=[])
        run = OnceRun(
            self._processes,
            self._opened,
            baseline,
            self._printer,
            history.seed,
            options.clicks,
            now_ms=history.now_ms,
        )
        try:
            if options.clicks:
                run.send_backlog()
            run.drain()
            return self._processes.retry(run.sum_up)
        finally:
            # A key that cannot be removed is a secret that is lost with this process; the next demo replaces it.
            with ignoring_interrupts(), suppress(Unavailable):
                run.stop()
                close_history(self._demo_stack.settings, self._opened)

    def _find_urls(self) -> dict[str, str]:
        folder, slug = self._demo_stack.folder, self._opened[0].store.slug
        api, collector = service_url(folder, "api"), self._processes.collector.url
        return {
            "dashboard": f"{service_url(folder, 'dashboard')}/?store={slug}",
            "api": api,
            "api_docs": f"{api}/docs",
            "storefront": f"{api}/shop",
            "collector": collector,
        }

    def _say_where(self, until: str) -> None:
        urls, say, slug = self._processes.settings.urls, self._printer.say, self._opened[0].store.slug
        parts = {part: urls.of(part) for part in ALL_PARTS}
        say("")
        for line in url_lines({**self.urls, **parts}):
            say(line)
        say("")
        if self._options.as_json:
            say("  sign in there with an account of the document on standard output")
        else:
            say("  sign in there as one of these; each sees its own shops")
            for line in account_lines(self._accounts):
                say(line)
            say("  the passwords are shown this once; the next demo sets new ones")
        say("")
        say("  put something into a cart, and see it on the dashboard; in another terminal:")
        say(f"  marketplace report --store {slug} --grain hour{self._data_flag()}")
        say(f"  {until}")
        say("")

    def _data_flag(self) -> str:
        return data_flag(self._demo_stack.folder)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
