"""`marketplace demo --once`: send traffic, wait until it is counted, compare every number, and sum up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from connectors.insights import Conversion, Insights, Scope
from connectors.kafka.producer import Producer
from marketplace.goals import PAID
from marketplace.topics import CLICKS_COLLECTED
from ops.demo.orders.numbers import OrderNumbers
from ops.demo.report.audit import Audit, Auditor, Baseline
from ops.demo.report.models import ReadModels
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.report.summary import Summary
from ops.demo.report.sums import add_ledger, since, store_numbers
from ops.demo.report.verify import Agreement
from ops.demo.run.freshness import Stopwatch
from ops.demo.services.background import Background
from ops.demo.services.demo_processes import DemoProcesses
from ops.demo.services.sender import Sender, Target
from ops.demo.traffic.broken_records import broken_records
from ops.demo.traffic.requests import Post, Traffic, until
from ops.demo.traffic.shops import DemoStore

FULL_LOAD: Final = "full load"
STEADY: Final = "steady"
_SAMPLES: Final = 250
_STEADY_EVENTS: Final = 600
_STEADY_RATE: Final = 150
_SHOWN: Final = 5
_SETTLE_SECONDS: Final = 60.0
_AUDIT_SECONDS: Final = 240.0
"""Hundreds of reports are read, however few the clicks: five seconds of work, minutes where the machine is busy."""


class OnceRun:
    """Sends the history and checks it.

    Args:
        processes: The running collector and flow.
        opened: The shops.
        baseline: The log and the ledger before the run.
        printer: Reports progress.
        seed: The seed of the traffic.
        clicks: The number of events to send.
        now_ms: The end of the history, epoch ms; the present if None.
    """

    def __init__(
        self,
        processes: DemoProcesses,
        opened: list[DemoStore],
        baseline: Baseline,
        printer: ProgressPrinter,
        seed: int,
        clicks: int,
        now_ms: int | None = None,
    ) -> None:
        self._processes, self._opened, self._baseline = processes, opened, baseline
        self._printer, self._seed, self._clicks = printer, seed, clicks
        self._now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self._stopwatch = Stopwatch(processes.clickhouse, [o.store.slug for o in opened])
        collector = processes.collector
        keys = {o.shop.name: o.write_key for o in opened}
        target = Target(collector.host, collector.port, keys, on_accepted=self._stopwatch.note)
        target.import_keys = {o.shop.name: o.import_key for o in opened}
        self.sender = Sender(target)
        self._steady = min(_STEADY_EVENTS, clicks // 5)
        self.broken_records = 0

    def send(self) -> None:
        """Send all events; returns when all requests are answered.

        Most are sent as fast as the collector accepts them. The last ones wait until the tables have caught up and then
        go at the rate of an ordinary shop, to measure the freshness of an ordinary day too.

        Raises:
            SendFailed, FlowFailed, DemoFailed, Unavailable: Not all events could be sent.
        """
        posts, steady = self._posts(), self._steady
        self._stopwatch.start()
        self._stopwatch.sample(FULL_LOAD, self._clicks // 32 // _SAMPLES)
        with self._printer.counting("traffic", f"Sending {self._clicks - steady:,} events", self._clicks - steady):
            self._send(until(posts, self._clicks - steady), 0)
        self._send_broken_records()
        with self._printer.phase("catch_up", "Waiting until every table has all events"):
            self._drain()
        self._stopwatch.sample(STEADY, 1)
        with self._printer.counting("steady", f"Sending {steady:,} events at {_STEADY_RATE}/s", steady):
            self._send(posts, _STEADY_RATE)

    def send_backlog(self, rate: float = 0) -> None:
        """Send all events at one rate (events per second; 0 is as fast as possible), until all requests are answered.

        Raises:
            SendFailed, FlowFailed, Unavailable: Not all events could be sent.
        """
        with self._printer.counting("traffic", f"Sending {self._clicks:,} events of 30 days", self._clicks):
            self._send(self._posts(), rate)

    def _posts(self) -> Iterator[Post]:
        shops = tuple(o.shop for o in self._opened)
        return Traffic(self._seed, self._now_ms, shops).backlog(self._clicks)

    def _send(self, posts: Iterator[Post], rate: float) -> None:
        worker = Background(lambda: self.sender.send_all(posts, rate), "traffic")
        began, before = time.monotonic(), self.sender.sent.events
        worker.start()
        try:
            while worker.is_alive():
                self._processes.watch()
                done = self.sender.sent.events - before
                self._printer.count(done, f"{done:,} events, {done / max(0.1, time.monotonic() - began):,.0f}/s")
                worker.join(0.1)
        except BaseException:
            self.sender.stop()
            raise
        worker.result()

    def drain(self) -> dict[int, int]:
        """Wait until every table has all events; returns the log's end offsets.

        Raises:
            DemoFailed, FlowFailed: It was not reached in time.
        """
        with self._printer.phase("drain", "Waiting for the last events"):
            ends = self._drain()
            seen_by = time.monotonic() + 5
            self._processes.wait_until(
                lambda: not self._stopwatch.pending or time.monotonic() > seen_by, 20, "the sample's end"
            )
        self._stopwatch.stop()
        return ends

    def _drain(self) -> dict[int, int]:
        processes, starts = self._processes, self._baseline.starts
        ends = self._processes.retry(processes.log_ends)
        patience = _SETTLE_SECONDS + self._clicks / 500
        processes.wait_until(lambda: processes.is_drained(ends, starts), patience, "the end of the log")
        return ends

    def conclude(self, ends: dict[int, int], orders: OrderNumbers | None = None) -> Summary:
        """Compare everything with the oracle, and paid orders with what goals say of them, and sum up.

        Args:
            ends: The log's end offsets.
            orders: What became of the orders that were placed meanwhile; None where none were.

        Raises:
            Unavailable: A part was unavailable for too long.
        """
        processes = self._processes
        auditor = Auditor(processes, self._opened, self._baseline, ends)
        audit = auditor.audit(self._printer, _AUDIT_SECONDS + self._clicks / 500)
        if orders is not None:
            processes.retry(lambda: self._compare_goals(audit.agreement, orders))
        summary = processes.retry(lambda: self._sum_up(audit, orders))
        summary.orders = orders
        summary.ok = summary.ok and (orders is None or orders.ok)
        return summary

    def stop(self) -> None:
        """Stop sending and measuring."""
        self.sender.stop()
        self._stopwatch.stop()

    def _send_broken_records(self) -> None:
        count = 12 + self._clicks // 5_000
        producer = Producer(self._processes.settings.kafka, client_id="demo-broken-records")
        try:
            records = broken_records(count, self._seed, CLICKS_COLLECTED.partitions)
            self._processes.retry(lambda: producer.send_all(records, 10))
        finally:
            producer.close(5)
        self.broken_records = count

    def _compare_goals(self, agreement: Agreement, orders: OrderNumbers) -> None:
        """Each paid order is one conversion, by one visitor, of the goal that the dashboard shows."""
        insights = Insights(self._processes.clickhouse)
        for store in (opened.store for opened in self._opened):
            rows = insights.conversions(Scope(store.slug, ZoneInfo(store.timezone)), (PAID,))[PAID.name]
            found = rows[0] if rows else Conversion(PAID.name, "", 0, 0, 0)
            paid = orders.paid.get(store.slug, 0)
            agreement.check(f"goal {PAID.name} of {store.slug}: conversions", paid, found.conversions)
            agreement.check(f"goal {PAID.name} of {store.slug}: visitors", paid, found.converted)

    def _sum_up(self, audit: Audit, orders: OrderNumbers | None) -> Summary:
        summary, agreement = self.sum_up(), audit.agreement
        by_pages = orders.events_accepted if orders is not None else 0
        summary.written_twice = audit.records - summary.accepted - by_pages - self.broken_records
        summary.click_to_queryable_ms = self._stopwatch.of(STEADY).report()
        summary.click_to_queryable_ms_under_full_load = self._stopwatch.of(FULL_LOAD).report()
        summary.oracle = {
            "compared": agreement.compared,
            "differences": len(agreement.differences),
            "first": agreement.differences[:_SHOWN],
        }
        summary.ok = summary.ok and not agreement.differences
        return summary

    def sum_up(self) -> Summary:
        """The summary without the audit, from the tables; call it after :meth:`drain`.

        Raises:
            Unavailable: A part is unavailable.
        """
        processes, sent = self._processes, self.sender.sent
        slugs = {o.store.slug for o in self._opened}
        summary = Summary(
            seed=self._seed, sent=sent.events, accepted=sent.accepted, data=str(processes.demo_stack.folder)
        )
        summary.rejected = sent.rejected
        summary.broken_in_the_topic = self.broken_records
        add_ledger(summary, since(processes.analytics.ledger(), self._baseline.ledger, slugs))
        models = ReadModels(processes.settings)
        try:
            summary.stores = [store_numbers(processes.analytics, models, o) for o in self._opened]
        finally:
            models.close()
        summary.requests, summary.requests_sent_again = sent.requests, sent.retries
        summary.restarts = {"flow": processes.flow.restarts, "collector": processes.collector.restarts}
        at_once = sent.events - (self._steady if "steady" in self._printer.seconds else 0)
        summary.events_per_second = round(at_once / max(0.01, self._printer.seconds.get("traffic", 1.0)))
        summary.ok = not summary.ledger_difference and sent.events == self._clicks
        return summary
