"""Whatever polls, handlers, rebalances and kills come in whatever order: what a group of consumers never breaks."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kafka.consumer import ConsumerPolicy, DeadLetters, GroupConsumer
from connectors.kafka.group_client import Membership
from connectors.kafka.memory import MemoryBroker, MemoryGroupClient, MemoryProducer
from connectors.kafka.records import ConsumerRecord, Record, TopicPartition
from marketplace.errors import Reject, Retry

TOPIC, DEAD, GROUP = "orders.events.v1", "orders.events.v1.dlq", "orders"
PARTITIONS = 2
SESSION_SECONDS = 6.0
POLL_SECONDS = 30.0
POLICY = ConsumerPolicy(commit_seconds=0.0, revoke_seconds=0.0)


class Bug(Exception):
    pass


Place = tuple[int, int]
OUTCOMES = st.sampled_from(["ok", "ok", "ok", "retry", "reject", "crash", "slow", "slow"])
"""What the handler does; while a slow one works, other steps happen, also ones that take its partition from it."""
STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 4)),
    st.tuples(st.just("poll"), st.integers(0, 2)),
    st.tuples(st.just("poll"), st.integers(0, 2)),
    st.tuples(st.just("handle"), st.integers(0, 2)),
    st.tuples(st.just("handle"), st.integers(0, 2)),
    st.tuples(st.just("handle"), st.integers(0, 2)),
    st.tuples(st.just("join"), st.integers(0, 2)),
    st.tuples(st.just("close"), st.integers(0, 2)),
    st.tuples(st.just("kill"), st.integers(0, 2)),
    st.tuples(st.just("pass"), st.sampled_from([1, 7, 40])),
    st.tuples(st.just("hang"), st.sampled_from([1, 7])),
    st.tuples(st.just("lose commits"), st.integers(0, 1)),
)


@dataclass
class Life:
    """One consumer between its start and its end, with the calls that its threads would run.

    ``begun`` has the offsets of each partition as handlers began them, one list for each time that it owned it.
    """

    consumer: GroupConsumer
    client: MemoryGroupClient
    calls: deque[Callable[[], None]]
    begun: dict[int, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    owned: set[int] = field(default_factory=set)
    lost: int = 0

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
        self.producer = MemoryProducer(self.broker)
        self.lives: dict[int, Life] = {}
        self.all_lives: list[Life] = []
        self.steps, self.outcomes, self.check = deque(steps), deque(outcomes), check
        self.done: set[Place] = set()
        self.rejected: set[Place] = set()
        self.written = 0

    def run(self) -> None:
        self.join(0)
        while self.steps:
            self.advance()
        self.finish()
        self.check(self)

    def advance(self) -> None:
        if self.steps:
            self.step(*self.steps.popleft())
            self.check(self)

    def join(self, number: int) -> None:
        if number in self.lives:
            return
        membership = Membership(GROUP, [TOPIC], session_seconds=SESSION_SECONDS, poll_seconds=POLL_SECONDS)
        client, calls = MemoryGroupClient(self.broker, membership), deque[Callable[[], None]]()

        def handle(record: ConsumerRecord) -> None:
            self.handle(life, record)

        dead_letters = DeadLetters(self.producer, DEAD, GROUP)
        consumer = GroupConsumer(client, handle, dead_letters, POLICY, monotonic=lambda: self.now, submit=calls.append)
        life = self.lives[number] = Life(consumer, client, calls)
        self.all_lives.append(life)

    def handle(self, life: Life, record: ConsumerRecord) -> None:
        outcome = self.outcomes.popleft() if self.outcomes else "ok"
        place = record.partition, record.offset
        life.begun[record.partition][-1].append(record.offset)
        if outcome == "slow":
            for _ in range(3):
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
        life = self.lives.get(number)
        if kind == "write":
            key = b"key-%d" % number
            self.producer.send_all([Record(TOPIC, b"%d" % self.written, key)], 1.0)
            self.written += 1
        elif kind == "join":
            self.join(number)
        elif kind == "pass":
            self.now += number
        elif kind == "hang":
            self.broker.hang()
            self.now += number
            self.poll_all()
            self.broker.release()
        elif kind == "lose commits":
            self.broker.stores_commits = not number
        elif life is None:
            return
        elif kind == "poll":
            self.poll(number, life)
        elif kind == "handle" and life.calls:
            life.calls.popleft()()
        elif kind == "close":
            life.consumer.close(0.0)
            del self.lives[number]
        elif kind == "kill":
            # A killed process begins nothing more; a handler at work may have had its effect.
            life.client.kill()
            life.calls.clear()
            del self.lives[number]

    def poll_all(self) -> None:
        for number, life in list(self.lives.items()):
            self.poll(number, life)

    def poll(self, number: int, life: Life) -> None:
        try:
            life.consumer.step(0.0)
        except Bug:
            life.consumer.close(0.0)
            del self.lives[number]
        else:
            life.note_owned()

    def finish(self) -> None:
        """Let one more member handle all that is left, without errors."""
        self.steps.clear()
        self.outcomes.clear()
        self.broker.stores_commits = True
        for number in list(self.lives):
            self.step("close", number)
        self.now += 10 * SESSION_SECONDS
        self.join(0)
        # Each round handles at least one record that is left, so this is more than enough.
        for _ in range(4 * self.written + 20):
            self.poll_all()
            self.now += 1.0
            while self.lives[0].calls:
                self.lives[0].calls.popleft()()
        self.poll_all()

    def places(self) -> set[Place]:
        ends = [self.broker.range_of(TopicPartition(TOPIC, partition))[1] for partition in range(PARTITIONS)]
        return {(partition, offset) for partition, end in enumerate(ends) for offset in range(end)}

    def committed(self) -> dict[int, int]:
        return {source.partition: offset for source, offset in self.broker.group(GROUP).offsets.items()}

    def letters(self) -> set[Place]:
        found = (dict(record.headers) for record in self.producer.records(DEAD))
        return {(int(headers["dlq_partition"]), int(headers["dlq_offset"])) for headers in found}


STEP_LISTS, OUTCOME_LISTS = st.lists(STEPS, max_size=80), st.lists(OUTCOMES, max_size=40)


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
def test_while_a_member_owns_a_partition_it_begins_its_records_in_order_and_leaves_none_out(
    steps: list[tuple[str, int]], outcomes: list[str]
) -> None:
    """Records of one key share a partition: between two commits their order is that of the log."""
    world = World(steps, outcomes, lambda _: None)
    world.run()

    for life in world.all_lives:
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
