"""Whatever polls, handlers, rebalances and kills come in whatever order: what a group of consumers never breaks."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kafka.consumer import GroupConsumer
from connectors.kafka.consumer_policy import ConsumerPolicy
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.group_client import Membership
from connectors.kafka.memory import MemoryBroker, MemoryGroupClient, MemoryProducer
from connectors.kafka.records import ConsumerRecord, Record, TopicPartition
from marketplace.errors import Reject, Retry

TOPIC, DEAD, GROUP = "orders.events.v1", "orders.events.v1.dlq", "orders"
PARTITIONS = 2
MOST_MEMBERS = 3
SESSION_SECONDS = 6.0
POLL_SECONDS = 30.0
POLICY = ConsumerPolicy(commit_seconds=0.0, revoke_seconds=0.0)


class Bug(Exception):
    pass


Place = tuple[int, int]
OUTCOMES = st.sampled_from(["ok", "ok", "ok", "retry", "reject", "crash", "slow", "slow"])
"""What the handler does; while a slow one works, other steps happen, also ones that take its partition from it."""
KINDS = st.sampled_from(
    ["write"] * 3
    + ["poll"] * 6
    + ["handle"] * 9
    + ["join", "close", "kill", "pass", "pass", "hang", "commits", "letters"]
)
STEPS = st.tuples(KINDS, st.integers(0, 5))
PASSING_SECONDS = (0.5, 1.0, 2.0, SESSION_SECONDS, SESSION_SECONDS + 1, POLL_SECONDS + 1)


@dataclass
class Life:
    """One consumer between its start and its end, with the calls that its threads would run.

    ``begun`` has the offsets of each partition as handlers began them, one list for each time that it owned it;
    ``faults`` what no consumer may do.
    """

    consumer: GroupConsumer
    client: MemoryGroupClient
    calls: deque[Callable[[], None]]
    begun: dict[int, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    owned: set[int] = field(default_factory=set)
    lost: int = 0
    faults: list[str] = field(default_factory=list)
    _active: dict[tuple[int, int], int] = field(default_factory=dict)
    _due: dict[tuple[int, int], float] = field(default_factory=dict)

    @contextmanager
    def handling(self, record: ConsumerRecord, now: Callable[[], float]) -> Iterator[None]:
        """Watch a handler at work."""
        time_of_owning = record.partition, len(self.begun[record.partition])
        self.begun[record.partition][-1].append(record.offset)
        if time_of_owning in self._active:
            self.faults.append(f"{record.offset} was begun while {self._active[time_of_owning]} was at work")
        if now() < self._due.get(time_of_owning, 0.0):
            self.faults.append(f"{record.offset} was tried again too early")
        self._active[time_of_owning] = record.offset
        try:
            yield
        except Retry as retry:
            self._due[time_of_owning] = now() + retry.after_seconds
            raise
        finally:
            del self._active[time_of_owning]

    def note_owned(self) -> None:
        metrics = self.consumer.metrics()
        owned = {source.partition for source in metrics.partitions}
        if metrics.counts.lost > self.lost:
            self.owned = set()
        for partition in owned - self.owned:
            self.begun[partition].append([])
        self.owned, self.lost = owned, metrics.counts.lost


class World:
    """A group on a broker, run step by step with a clock of its own."""

    def __init__(self, steps: list[tuple[str, int]], outcomes: list[str], check: Callable[[World], None]) -> None:
        self.now = 0.0
        self.broker = MemoryBroker({TOPIC: PARTITIONS, DEAD: 1}, monotonic=lambda: self.now)
        self.producer, self.letter_producer = MemoryProducer(self.broker), MemoryProducer(self.broker)
        self.lives: list[Life] = []
        self.all_lives: list[Life] = []
        self.steps, self.outcomes, self.check = deque(steps), deque(outcomes), check
        self.done: set[Place] = set()
        self.rejected: set[Place] = set()
        self.written = 0

    def run(self) -> None:
        self.join()
        for number in range(8):
            self.step("write", number)
        while self.steps:
            self.advance()
        self.finish()
        self.check(self)

    def advance(self) -> None:
        if self.steps:
            self.step(*self.steps.popleft())
            self.check(self)

    def join(self) -> None:
        if len(self.lives) == MOST_MEMBERS:
            return
        membership = Membership(GROUP, [TOPIC], session_seconds=SESSION_SECONDS, poll_seconds=POLL_SECONDS)
        client, calls = MemoryGroupClient(self.broker, membership), deque[Callable[[], None]]()

        def handle(record: ConsumerRecord) -> None:
            with life.handling(record, lambda: self.now):
                self.handle(record)

        dead_letters = DeadLetterWriter(self.letter_producer, DEAD, GROUP)
        consumer = GroupConsumer(client, handle, dead_letters, POLICY, monotonic=lambda: self.now, submit=calls.append)
        life = Life(consumer, client, calls)
        self.lives.append(life)
        self.all_lives.append(life)

    def handle(self, record: ConsumerRecord) -> None:
        outcome = self.outcomes.popleft() if self.outcomes else "ok"
        place = record.partition, record.offset
        if outcome == "slow":
            for _ in range(6):
                self.advance()
        if outcome == "retry":
            raise Retry(2.0)
        if outcome == "crash":
            raise Bug
        if outcome == "reject":
            self.rejected.add(place)
            raise Reject("refused")
        self.done.add(place)

    def step(self, kind: str, number: int) -> None:
        if kind == "write":
            self.producer.send_all([Record(TOPIC, b"%d" % self.written, b"key-%d" % number)], 1.0)
            self.written += 1
        elif kind == "join" or not self.lives:
            self.join()
        elif kind == "pass":
            self.now += PASSING_SECONDS[number]
        elif kind == "hang":
            self.broker.hang()
            self.now += PASSING_SECONDS[number]
            self.poll_all()
            self.broker.release()
        elif kind == "commits":
            self.broker.stores_commits = not self.broker.stores_commits
        elif kind == "letters":
            self.letter_producer.available = not self.letter_producer.available
        else:
            self.step_of(self.lives[number % len(self.lives)], kind)

    def step_of(self, life: Life, kind: str) -> None:
        if kind == "poll":
            self.poll(life)
        elif kind == "handle" and life.calls:
            life.calls.popleft()()
        elif kind == "close":
            life.consumer.close(0.0)
            self.lives.remove(life)
        elif kind == "kill":
            # A killed process begins nothing more; a handler at work may have had its effect.
            life.client.kill()
            life.calls.clear()
            self.lives.remove(life)

    def poll_all(self) -> None:
        for life in list(self.lives):
            self.poll(life)

    def poll(self, life: Life) -> None:
        try:
            life.consumer.step(0.0)
        except Bug:
            life.consumer.close(0.0)
            self.lives.remove(life)
        else:
            life.note_owned()

    def finish(self) -> None:
        """All that was broken works again, and the members that are left handle what there is."""
        self.steps.clear()
        self.outcomes.clear()
        self.broker.stores_commits = self.letter_producer.available = True
        self.poll_all()
        self.join()
        # The dead are missed after a session, retries come after their pauses, and each round handles a record of each.
        for _ in range(int(2 * SESSION_SECONDS) + self.written):
            self.now += 1.0
            self.poll_all()
            for life in self.lives:
                while life.calls:
                    life.calls.popleft()()
        self.poll_all()

    def places(self) -> set[Place]:
        ends = [self.broker.range_of(TopicPartition(TOPIC, partition))[1] for partition in range(PARTITIONS)]
        return {(partition, offset) for partition, end in enumerate(ends) for offset in range(end)}

    def committed(self) -> dict[int, int]:
        return {source.partition: offset for source, offset in self.broker.group(GROUP).offsets.items()}

    def letters(self) -> set[Place]:
        found = (dict(record.headers) for record in self.producer.records(DEAD))
        return {(int(headers["dlq_partition"] or b""), int(headers["dlq_offset"] or b"")) for headers in found}


# Lists without a least size are mostly too short for anything to go wrong.
STEP_LISTS, OUTCOME_LISTS = st.lists(STEPS, min_size=30, max_size=90), st.lists(OUTCOMES, min_size=10, max_size=40)


@settings(max_examples=150)
@given(STEP_LISTS, OUTCOME_LISTS)
def test_every_record_is_handled_or_a_dead_letter_in_the_end(steps: list[tuple[str, int]], outcomes: list[str]) -> None:
    world = World(steps, outcomes, lambda _: None)
    world.run()

    assert world.done | world.letters() == world.places()
    ends = {partition: world.broker.range_of(TopicPartition(TOPIC, partition))[1] for partition in range(PARTITIONS)}
    assert world.committed() == {partition: end for partition, end in ends.items() if end}


@settings(max_examples=150)
@given(STEP_LISTS, OUTCOME_LISTS)
def test_a_committed_offset_never_passes_a_record_that_is_neither_handled_nor_a_dead_letter(
    steps: list[tuple[str, int]], outcomes: list[str]
) -> None:
    def check(world: World) -> None:
        finished = world.done | world.letters()
        for partition, offset in world.committed().items():
            assert {(partition, before) for before in range(offset)} <= finished

    World(steps, outcomes, check).run()


@settings(max_examples=150)
@given(STEP_LISTS, OUTCOME_LISTS)
def test_while_a_member_owns_a_partition_it_handles_its_records_one_by_one_in_order_and_leaves_none_out(
    steps: list[tuple[str, int]], outcomes: list[str]
) -> None:
    """Records of one key share a partition: between two commits their order is that of the log."""
    world = World(steps, outcomes, lambda _: None)
    world.run()

    for life in world.all_lives:
        assert life.faults == []
        for times in life.begun.values():
            for offsets in times:
                assert all(later - earlier in (0, 1) for earlier, later in pairwise(offsets))


@settings(max_examples=150)
@given(STEP_LISTS, OUTCOME_LISTS)
def test_dead_letters_are_those_that_were_rejected(steps: list[tuple[str, int]], outcomes: list[str]) -> None:
    world = World(steps, outcomes, lambda _: None)
    world.run()

    assert world.letters() <= world.rejected
    # A rejection of a member that died before its letter was written may be decided otherwise by the next one.
    assert world.rejected - world.letters() <= world.done
