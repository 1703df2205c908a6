"""`marketplace demo --once` from start to end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from connectors.payments.secrets import read_secrets
from flows.delivery.process_set import FlowOptions
from ops.demo.orders.numbers import OrderNumbers
from ops.demo.orders.pages import Pages
from ops.demo.orders.places import Places
from ops.demo.orders.run import OrdersRun
from ops.demo.report.audit import read_baseline
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.report.summary import Summary
from ops.demo.run.once import OnceRun
from ops.demo.run.options import DemoOptions, ignoring_interrupts
from ops.demo.services.demo_accounts import ensure_accounts
from ops.demo.services.demo_catalogs import ensure_catalogs
from ops.demo.services.demo_processes import CollectorHandle, DemoProcesses, close_history, open_shops
from ops.demo.services.demo_stack import DemoStack, open_demo_stack
from ops.demo.services.sender import Target
from ops.demo.services.served import service_url
from ops.demo.traffic.shops import DemoStore
from ops.provision import ensure_provisioned
from runtime.sections import PROVIDER_SECRETS


def play_once(options: DemoOptions, printer: ProgressPrinter) -> Summary:
    """Start the parts, run the check, and stop them.

    Raises:
        StackError, DemoFailed, CollectorFailed, FlowFailed, SendFailed, Unavailable, Refused: It cannot be finished.
    """
    began = time.monotonic()
    with printer.phase(
        "up", "Starting the parts" if not options.orders else "Starting the parts and the services of orders"
    ):
        demo_stack = open_demo_stack(options.data, once=True, brokers=options.brokers, orders=bool(options.orders))
    finished = False
    try:
        summary = _once_on(demo_stack, options, printer)
        summary.seconds = {**printer.seconds, "total": round(time.monotonic() - began, 2)}
        finished = True
        return summary
    finally:
        with ignoring_interrupts():
            demo_stack.close(keep=options.keep and finished)


def _once_on(demo_stack: DemoStack, options: DemoOptions, printer: ProgressPrinter) -> Summary:
    processes, opened = set_up(demo_stack, options, printer)
    baseline = read_baseline(processes)
    run = OnceRun(processes, opened, baseline, printer, options.seed, options.clicks)
    try:
        with printer.phase("start", "Starting the collector and the flow"):
            processes.start()
        run.send()
        processes.retry(lambda: close_history(demo_stack.settings, opened))
        orders = play_orders(processes, opened, options, printer) if options.orders else None
        return run.conclude(run.drain(), orders)
    finally:
        with ignoring_interrupts():
            run.stop()
            processes.stop()


def play_orders(
    processes: DemoProcesses, opened: list[DemoStore], options: DemoOptions, printer: ProgressPrinter
) -> OrderNumbers:
    """Let buyers order, with sellers whose passwords nobody is told.

    Raises:
        DemoFailed, FlowFailed, StackError, Unavailable: Orders cannot be placed, or do not end.
    """
    settings, places = processes.settings, places_in(processes.demo_stack.folder)
    with printer.phase("catalogs", "Filling the shops"):
        processes.retry(lambda: ensure_catalogs(settings, opened, datetime.now(UTC)))
        sellers = processes.retry(lambda: ensure_accounts(settings, opened, places.api, datetime.now(UTC)))
    pages = pages_of(places, processes.collector, opened)
    return OrdersRun(settings, places, sellers, printer, options.seed, options.orders, pages).play(processes.watch)


def pages_of(places: Places, collector: CollectorHandle, opened: list[DemoStore]) -> Pages:
    """The storefront's pages, which send to this collector."""
    target = Target(collector.host, collector.port, {each.shop.name: each.store.storefront_key for each in opened})
    return Pages(target, places.storefront, {each.store.slug: each.shop for each in opened})


def places_in(folder: Path) -> Places:
    """Where orders of the stack of a data folder go.

    Raises:
        StackError: It runs no API, or no payment provider.
    """
    api_key = read_secrets(folder / PROVIDER_SECRETS).api_key
    return Places(service_url(folder, "api"), service_url(folder, "payments"), api_key)


def set_up(
    demo_stack: DemoStack, options: DemoOptions, printer: ProgressPrinter
) -> tuple[DemoProcesses, list[DemoStore]]:
    """Create topics, tables, collections and stores; nothing is started yet."""
    with printer.phase("provision", "Making topics, tables and stores"):
        ensure_provisioned(demo_stack.settings)
        run = f"{options.seed}-{time.time_ns() // 1_000_000:x}"
        opened = open_shops(demo_stack.settings, options.seed, run, fresh=True)
    return DemoProcesses(demo_stack, FlowOptions(workers=options.workers)), opened
