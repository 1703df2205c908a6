"""`marketplace demo --once`: traffic in, everything drained, every number compared, one summary."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from connectors.kafka.producer import Producer
from marketplace.topics import CLICKS_COLLECTED
from ops.demo.report.audit import Audit, Auditor, Beginning
from ops.demo.report.models import ReadModels
from ops.demo.report.narrator import Narrator
from ops.demo.report.summary import Summary
from ops.demo.report.sums import add_ledger, since, store_numbers
from ops.demo.run.freshness import Stopwatch
from ops.demo.services.background import Background
from ops.demo.services.company import Company
from ops.demo.services.sender import Sender, Target
from ops.demo.traffic.dirt import dirt
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
"""Hundreds of reports are read, whatever the clicks: five seconds of work, minutes where the machine is busy."""


class OnceRun:
    """One run.

    Args:
        company: The running collector and flow.
        opened: The shops.
        beginning: Where the log stood.
        narrator: Told how far it is.
        seed: Of the traffic.
        clicks: How many events to send.
        now_ms: Where their history ends, epoch ms; the present when None.
    """

    def __init__(
        self,
        company: Company,
        opened: list[DemoStore],
        beginning: Beginning,
        narrator: Narrator,
        seed: int,
        clicks: int,
        now_ms: int | None = None,
    ) -> None:
        self._company, self._opened, self._beginning = company, opened, beginning
        self._narrator, self._seed, self._clicks = narrator, seed, clicks
        self._now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self._stopwatch = Stopwatch(company.clickhouse, [o.store.slug for o in opened])
        collector = company.collector
        keys = {o.shop.name: o.write_key for o in opened}
        target = Target(collector.host, collector.port, keys, on_accepted=self._stopwatch.note)
        target.import_keys = {o.shop.name: o.import_key for o in opened}
        self.sender = Sender(target)
        self._steady = min(_STEADY_EVENTS, clicks // 5)
        self.dirt = 0

    def send(self) -> None:
        """Send everything; return when all of it is answered.

        Most goes as fast as it is taken. A last part waits until the tables have caught up and then goes at an ordinary
        shop's pace: how fresh the numbers are is a question about ordinary days too.

        Raises:
            SendFailed, FlowFailed, DemoFailed, Unavailable: It cannot be.
        """
        posts, steady = self._posts(), self._steady
        self._stopwatch.start()
        self._stopwatch.sample(FULL_LOAD, self._clicks // 32 // _SAMPLES)
        with self._narrator.counting("traffic", f"Sending {self._clicks - steady:,} events", self._clicks - steady):
            self._send(until(posts, self._clicks - steady), 0)
        self._send_dirt()
        with self._narrator.phase("catch_up", "Waiting until every table holds everything"):
            self._drain()
        self._stopwatch.sample(STEADY, 1)
        with self._narrator.counting("steady", f"Sending {steady:,} events at {_STEADY_RATE}/s", steady):
            self._send(posts, _STEADY_RATE)

    def send_backlog(self, rate: float = 0) -> None:
        """Send everything at one pace (events per second; 0 is as fast as it is taken), until all is answered.

        Raises:
            SendFailed, FlowFailed, Unavailable: It cannot be.
        """
        with self._narrator.counting("traffic", f"Sending {self._clicks:,} events of 30 days", self._clicks):
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
                self._company.watch()
                done = self.sender.sent.events - before
                self._narrator.count(done, f"{done:,} events, {done / max(0.1, time.monotonic() - began):,.0f}/s")
                worker.join(0.1)
        except BaseException:
            self.sender.stop()
            raise
        worker.result()

    def drain(self) -> dict[int, int]:
        """Wait until every table holds everything; gives the ends of the log.

        Raises:
            DemoFailed, FlowFailed: It does not come to that.
        """
        with self._narrator.phase("drain", "Waiting for the last ones"):
            ends = self._drain()
            seen_by = time.monotonic() + 5
            self._company.tend(
                lambda: not self._stopwatch.pending or time.monotonic() > seen_by, 20, "the sample's end"
            )
        self._stopwatch.stop()
        return ends

    def _drain(self) -> dict[int, int]:
        company, starts = self._company, self._beginning.starts
        ends = self._company.patiently(company.log_ends)
        patience = _SETTLE_SECONDS + self._clicks / 500
        company.tend(lambda: company.is_drained(ends, starts), patience, "the end of the log")
        return ends

    def conclude(self, ends: dict[int, int]) -> Summary:
        """Compare everything with the oracle and sum up.

        Raises:
            Unavailable: A part is away for longer than a moment.
        """
        company = self._company
        auditor = Auditor(company, self._opened, self._beginning, ends)
        audit = auditor.audit(self._narrator, _AUDIT_SECONDS + self._clicks / 500)
        return company.patiently(lambda: self._sum_up(audit))

    def stop(self) -> None:
        """Send and ask nothing more."""
        self.sender.stop()
        self._stopwatch.stop()

    def _send_dirt(self) -> None:
        count = 12 + self._clicks // 5_000
        producer = Producer(self._company.settings.kafka, client_id="demo-dirt")
        try:
            records = dirt(count, self._seed, CLICKS_COLLECTED.partitions)
            self._company.patiently(lambda: producer.send_all(records, 10))
        finally:
            producer.close(5)
        self.dirt = count

    def _sum_up(self, audit: Audit) -> Summary:
        summary, agreement = self.sum_up(), audit.agreement
        summary.written_twice = audit.records - summary.accepted - self.dirt
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
        """What was sent, what became of it, and each store's numbers, from the tables; ask once they are drained.

        Raises:
            Unavailable: A part is away.
        """
        company, sent = self._company, self.sender.sent
        slugs = {o.store.slug for o in self._opened}
        summary = Summary(seed=self._seed, sent=sent.events, accepted=sent.accepted, data=str(company.stage.folder))
        summary.rejected_at_the_door = sent.rejected
        summary.broken_in_the_topic = self.dirt
        add_ledger(summary, since(company.analytics.ledger(), self._beginning.ledger, slugs))
        models = ReadModels(company.settings)
        try:
            summary.stores = [store_numbers(company.analytics, models, o) for o in self._opened]
        finally:
            models.close()
        summary.requests, summary.requests_sent_again = sent.requests, sent.retries
        summary.restarts = {"flow": company.flow.restarts, "collector": company.collector.restarts}
        at_once = sent.events - (self._steady if "steady" in self._narrator.seconds else 0)
        summary.events_per_second = round(at_once / max(0.01, self._narrator.seconds.get("traffic", 1.0)))
        summary.ok = not summary.ledger_difference and sent.events == self._clicks
        return summary
