"""A consumer in a group: each record is handled at least once, and its offset is committed after the work.

Exactly one effect comes from the handler's inbox: it stores a record's source and offset (or the event's id) in the
transaction of its effect, and does nothing for one that it has seen. See docs/adr/0021.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, Self

from connectors.errors import Fenced, Unavailable
from connectors.kafka.consumer_metrics import ConsumerMetrics, Counts, PartitionMetrics
from connectors.kafka.consumer_policy import ConsumerPolicy
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.group_client import GroupClient
from connectors.kafka.handler_threads import HandlerThreads
from connectors.kafka.partition_work import PartitionWork
from connectors.kafka.prefetch_limit import PrefetchLimit
from connectors.kafka.records import ConsumerRecord, TopicPartition
from marketplace.errors import Reject, Retry

_log = logging.getLogger(__name__)

Handler = Callable[[ConsumerRecord], None]
"""Handles one record, or raises an error of marketplace.errors or connectors.errors that says what happens to it."""

_LEAVE_SECONDS: Final = 4.0
_LOOK_SECONDS: Final = 0.2


class GroupConsumer:
    """One member of a consumer group. The thread that calls :meth:`run` polls; handlers run on threads of their own.

    Records of a partition are handled one at a time and in order. Polling goes on while handlers work, however slow
    they are. What the handler raises decides:

    - ``Retry`` and ``Unavailable``: the partition pauses and the offset stays; no other partition waits for it.
    - ``Reject``: the record becomes a dead letter with its exact bytes.
    - ``Fenced``: :meth:`run` raises it, and nothing more is committed.
    - anything else, ``Stop`` and ``Refused`` among it: :meth:`run` raises it, and the offset stays.

    Args:
        client: This member of the group; it is closed by :meth:`close`.
        handler: What is done with a record.
        dead_letters: Where rejected records go.
        policy: How it works.
        assigned: Given partitions that are this member's from now on, before any of their records; it must not wait.
        monotonic: Seconds of a monotonic clock.
        submit: Runs a call later, for tests; by default on threads.
    """

    def __init__(
        self,
        client: GroupClient,
        handler: Handler,
        dead_letters: DeadLetterWriter,
        policy: ConsumerPolicy | None = None,
        *,
        assigned: Callable[[Collection[TopicPartition]], None] = lambda partitions: None,
        monotonic: Callable[[], float] = time.monotonic,
        submit: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._client, self._handler, self._dead_letters = client, handler, dead_letters
        self._policy = policy or ConsumerPolicy()
        self._on_assigned, self._monotonic = assigned, monotonic
        self._threads: HandlerThreads | None = None
        if submit is None:
            self._threads = HandlerThreads(self._policy.threads, f"{dead_letters.group}-handler")
            submit = self._threads.submit
        self._submit = submit
        self._changed = threading.Condition()
        self._works: dict[TopicPartition, PartitionWork] = {}
        self._counts = Counts()
        self._next_commit = float("-inf")
        self._limit = PrefetchLimit(self._policy)
        self._marks: dict[TopicPartition, tuple[int, int] | None] = {}
        self._next_look = float("-inf")
        self._failure: BaseException | None = None
        self._closed = False
        client.subscribe(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(self._policy.revoke_seconds)

    def run(self, stop: Callable[[], bool], poll_seconds: float = 0.1) -> None:
        """Work until ``stop`` returns True, which is asked at least every ``poll_seconds``.

        Raises:
            OffsetGap: The log does not go on at the group's offset: records are gone.
            Refused: The broker will never serve this member, or the handler's dependency it.
            Fenced: Another member with the same instance id, or a newer generation of the handler, has taken over.
            BaseException: What a handler raised that is no decision about its record.
        """
        while not stop():
            self.step(poll_seconds)

    def step(self, timeout_seconds: float) -> None:
        """One round: take what was fetched, give it to handlers, commit what they did.

        Args:
            timeout_seconds: How long to wait for records; less where a retry is due.

        Raises:
            BaseException: As for :meth:`run`.
        """
        self._raise_failure()
        timeout_seconds = self._wait_seconds(timeout_seconds)
        records = [] if self._stays_full(timeout_seconds) else self._poll(timeout_seconds)
        with self._changed:
            for record in records:
                # Records of a partition that was revoked in the same poll are the next member's.
                if (work := self._works.get(record.source)) is not None:
                    work.add(record)
            now = self._monotonic()
            for work in self._works.values():
                self._schedule(work, now)
                self._report_overdue(work, now)
            self._limit_queues(now)
            if now >= self._next_look:
                self._next_look = now + _LOOK_SECONDS
                self._marks = {source: self._client.watermarks(source) for source in self._works}
            if now >= self._next_commit:
                self._begin_commit(now)
        self._raise_failure()

    def pause(self, source: TopicPartition, seconds: float) -> None:
        """Begin no record of a partition for so long; no-op where this member does not own it.

        For the process that runs the consumer, from any thread: when it knows more than the handler, such as that a
        provider cannot be reached for a minute. A handler that wants a pause raises ``Retry``.

        A retry that is due later still waits until then. The pause ends when the partition is revoked.
        """
        with self._changed:
            if (work := self._works.get(source)) is not None:
                work.paused_until = max(work.paused_until, self._monotonic() + seconds)

    def resume(self, source: TopicPartition) -> None:
        """End a pause now, also that of a retry; no-op where this member does not own the partition.

        For the process that runs the consumer, from any thread, as :meth:`pause` is.
        """
        with self._changed:
            if (work := self._works.get(source)) is not None:
                work.paused_until = float("-inf")

    def metrics(self) -> ConsumerMetrics:
        """A snapshot; may be asked for from any thread."""
        with self._changed:
            now = self._monotonic()
            found = {source: self._partition_metrics(work, now) for source, work in self._works.items()}
            return ConsumerMetrics(found, replace(self._counts))

    def close(self, timeout_seconds: float) -> bool:
        """Let handlers at work finish, commit and leave the group; call it after :meth:`run`, and as often as you like.

        Handlers have the time but for what committing and leaving need. One that is not done then is abandoned: its
        record is handled again by the next member.

        Args:
            timeout_seconds: How long all of it may take; to be below the poll interval.

        Returns:
            Whether everything that was handled is committed and the group was left in time.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            if self._closed:
                return True
            self._closed = True
        committed = self._give_up(list(self._works), deadline, min(_LEAVE_SECONDS, timeout_seconds / 2))
        if self._threads is not None:
            self._threads.close()
        return self._client.close(max(0.0, deadline - time.monotonic())) and committed

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> None:
        """The client's report of a rebalance; see :class:`RebalanceListener`."""
        self._on_assigned(offsets.keys())
        with self._changed:
            self._counts.rebalances += 1
            self._works |= {source: PartitionWork(source, offset) for source, offset in offsets.items()}

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """The client's report: finishes or abandons what is at work, and commits what is finished."""
        mine = [source for source in partitions if source in self._works]
        if mine:
            self._give_up(mine, time.monotonic() + self._policy.revoke_seconds, self._policy.revoke_seconds / 2)
            with self._changed:
                self._counts.rebalances += 1

    def lost(self, partitions: Collection[TopicPartition]) -> None:
        """The client's report: abandons what is at work, and commits nothing."""
        with self._changed:
            if mine := [source for source in partitions if source in self._works]:
                self._counts.rebalances += 1
                self._counts.lost += len(mine)
                self._forget(mine)

    def _give_up(self, sources: Collection[TopicPartition], deadline: float, commit_seconds: float) -> bool:
        """Returns whether all that was handled is committed; ``commit_seconds`` of the time are left for that."""
        with self._changed:
            works = [self._works[source] for source in sources]
            for work in works:
                work.drain()
            self._wait_until(lambda: not any(work.running for work in works), deadline - commit_seconds)
            offsets = [(work, offset) for work in works if (offset := work.uncommitted) is not None]
            finished = not any(work.running for work in works)
            if offsets and isinstance(self._failure, Fenced):
                offsets, finished = [], False
        # Without the lock: handlers of other partitions and metrics do not wait for the broker.
        if offsets:
            error = self._client.commit_now(
                {work.source: offset for work, offset in offsets}, max(0.0, deadline - time.monotonic())
            )
            self._committed(offsets, error)
            finished = finished and error is None
        with self._changed:
            self._forget(sources)
        return finished

    def _forget(self, sources: Iterable[TopicPartition]) -> None:
        for source in sources:
            work = self._works.pop(source)
            work.drain()
            self._counts.abandoned += work.running

    def _poll(self, timeout_seconds: float) -> list[ConsumerRecord]:
        try:
            return self._client.poll(self._policy.poll_records, timeout_seconds)
        except BaseException as error:
            self._fail(error)
            raise

    def _stays_full(self, timeout_seconds: float) -> bool:
        """Wait for handlers while too much is queued; returns whether to fetch nothing in this round."""
        works = self._works.values()
        with self._changed:
            if not self._limit.holds_back(works, self._monotonic()):
                return False
            deadline = time.monotonic() + timeout_seconds
            self._wait_until(lambda: not self._limit.is_full(works) or self._failure is not None, deadline)
            return self._limit.holds_back(works, self._monotonic())

    def _wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        # Threads wait in real time, whatever clock was passed in.
        self._changed.wait_for(condition, max(0.0, deadline - time.monotonic()))

    def _wait_seconds(self, timeout_seconds: float) -> float:
        with self._changed:
            now = self._monotonic()
            due = [work.paused_until - now for work in self._works.values() if work.paused_until > now]
            return max(0.0, min([timeout_seconds, *due]))

    def _schedule(self, work: PartitionWork, now: float) -> None:
        if self._failure is None and not work.scheduled and work.can_begin(now):
            work.scheduled = True
            self._submit(partial(self._work_on, work))

    def _work_on(self, work: PartitionWork) -> None:
        with self._changed:
            work.scheduled = False
            now = self._monotonic()
            record = work.first()
            if record is None or self._failure is not None or not work.can_begin(now):
                return
            work.begin(now)
        try:
            retry = self._process(work, record)
        except BaseException as error:
            # An exception of a handler may refuse even this; the consumer has to stop all the same.
            with suppress(Exception):
                error.add_note(f"while handling {record.source} at offset {record.offset}")
            with self._changed:
                work.running = False
                self._fail(error)
                self._changed.notify_all()
            return
        with self._changed:
            work.running = False
            # A partition that was given up meanwhile has other work, or none, in its place.
            if self._works.get(work.source) is work:
                if retry is None:
                    work.finish()
                else:
                    self._counts.retried += 1
                    work.retry(self._monotonic() + retry.after_seconds, retry.reason)
                self._schedule(work, self._monotonic())
            self._changed.notify_all()

    def _process(self, work: PartitionWork, record: ConsumerRecord) -> Retry | None:
        """Returns when to try again, or None where the record is done."""
        if work.rejection is None:
            try:
                self._handler(record)
            except Retry as retry:
                return retry
            except Unavailable as error:
                return Retry(self._backoff_seconds(work.attempt), str(error))
            except Reject as rejection:
                # It is decided: if its letter cannot be written now, only that is done again.
                work.rejection = rejection
            else:
                with self._changed:
                    self._counts.handled += 1
                return None
        try:
            self._dead_letters.write(record, work.rejection, work.attempt + 1)
        except Unavailable as error:
            return Retry(self._backoff_seconds(work.attempt), f"dead letter: {error}")
        with self._changed:
            self._counts.rejected += 1
        return None

    def _backoff_seconds(self, attempt: int) -> float:
        pauses = self._policy.backoff_seconds
        return pauses[min(attempt, len(pauses) - 1)]

    def _report_overdue(self, work: PartitionWork, now: float) -> None:
        if work.running and not work.overdue and now - work.started_at > self._policy.handler_seconds:
            work.overdue = True
            self._counts.overdue += 1
            _log.error("%s: a handler has been at work for %.0f s", work.source, now - work.started_at)

    def _limit_queues(self, now: float) -> None:
        pause, resume = self._limit.changes(self._works.values(), now)
        if pause:
            self._client.pause([work.source for work in pause])
        if resume:
            self._client.resume([work.source for work in resume])
        for work in (*pause, *resume):
            work.fetching = not work.fetching

    def _begin_commit(self, now: float) -> None:
        """Send what was handled; reports come in order and, behind what was fetched meanwhile, late."""
        if isinstance(self._failure, Fenced):
            return
        offsets = [(work, offset) for work in self._works.values() if (offset := work.unsent) is not None]
        if offsets:
            self._next_commit = now + self._policy.commit_seconds
            for work, offset in offsets:
                work.sent = offset
            self._client.commit({work.source: offset for work, offset in offsets}, partial(self._committed, offsets))

    def _committed(self, offsets: Sequence[tuple[PartitionWork, int]], error: Exception | None) -> None:
        with self._changed:
            if error is None:
                self._counts.commits += 1
                for work, offset in offsets:
                    work.committed = offset
                return
            self._counts.failed_commits += 1
            for work, offset in offsets:
                # Where more was sent since, that says it all.
                if work.sent == offset:
                    work.sent = None
            if not isinstance(error, Unavailable):
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            # Being fenced outweighs what was raised before, because it forbids the last commit.
            if self._failure is None or isinstance(error, Fenced):
                self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _partition_metrics(self, work: PartitionWork, now: float) -> PartitionMetrics:
        marks = self._marks.get(work.source)
        lag = None
        if marks is not None:
            lag = max(0, marks[1] - (marks[0] if work.next_offset is None else work.next_offset))
        paused_seconds = max(0.0, work.paused_until - now)
        return PartitionMetrics(lag, work.queued_records, work.attempt, work.waits_for, paused_seconds)
