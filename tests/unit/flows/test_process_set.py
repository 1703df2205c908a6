"""When the set of a flow's processes is started again, what it waits for, and what ends it for good."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath
from tempfile import gettempdir
from typing import IO, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.errors import Unavailable
from connectors.kafka.topics import TopicIdentity
from flows.delivery.child_process import ChildProcess
from flows.delivery.exit_codes import EXIT_CODES, EXIT_FENCED, EXIT_REFUSED, EXIT_SETTINGS, EXIT_UNAVAILABLE
from flows.delivery.exit_codes import ending_of_set as ending_of
from flows.delivery.process_set import POLICY, FlowFailed, FlowFenced, FlowOptions, FlowProcessSet
from flows.delivery.topic_watch import TopicWatch
from marketplace.flows import CLICKS_FLOW
from marketplace.settings import Urls
from runtime.progress import Ending, Lease, ProgressPage, ProgressReport
from runtime.sections import Settings

HANG_SECONDS = 60.0
MOST_WATCHES = 10_000
TOPIC_SECONDS = 20.0
"""How often a set looks at its topic."""
LOOK_SECONDS = 0.125
"""How often a test looks after a set; a binary fraction, so that sums of it are exact."""


class Runner(FlowProcessSet):
    """One whose first start finds a part unavailable, after it may have fenced the flow before it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(CLICKS_FLOW, settings(folder), FlowOptions())
        self.starts = 0
        self.watched = False

    def start(self) -> None:
        self.starts += 1
        if self.starts == 1:
            raise Unavailable("ClickHouse is still working on 1 inserts")

    def watch(self) -> None:
        self.watched = True


def settings(folder: Path | str) -> Settings:
    return Settings(Urls("", "", "", ""), PurePosixPath(folder))


class FakePopen:
    """A process that ends when a test says so; it leaves at once when it is asked to."""

    pid = 1

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.polls = 0
        self.at_poll: dict[int, Callable[[], None]] = {}

    def poll(self) -> int | None:
        self.polls += 1
        self.at_poll.get(self.polls, lambda: None)()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.end(0 if number == signal.SIGTERM else -number)

    def kill(self) -> None:
        self.end(-signal.SIGKILL)

    def end(self, code: int) -> None:
        self.returncode = code if self.returncode is None else self.returncode


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class FakeLauncher:
    """Starts fakes with real pages; parts are unavailable, and the topic has as many partitions, as a test says."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.unavailable = False
        self.partitions = 8
        self.generation = 0
        self.launches: list[float] = []
        self.tries: list[float] = []
        self.fakes: list[FakePopen] = []

    def topics(self) -> list[TopicWatch]:
        return [TopicWatch(lambda _: TopicIdentity("id", self.partitions), "log", TOPIC_SECONDS)]

    def take_generation(self, step: Callable[[], None]) -> int:
        self.tries.append(self._clock())
        if self.unavailable:
            raise Unavailable("Kafka does not answer")
        self.launches.append(self._clock())
        self.fakes = []
        self.generation += 1
        return self.generation

    def start_process(
        self, index: int, addresses: Sequence[str], generation: int, output: IO[bytes] | None, now: float
    ) -> ChildProcess:
        self.fakes.append(FakePopen())
        popen = cast("subprocess.Popen[bytes]", self.fakes[-1])
        return ChildProcess(popen, ProgressPage(), Lease(now, most_seconds=HANG_SECONDS))


class FakeSet(FlowProcessSet):
    """A set whose processes are fakes."""

    def __init__(self, workers: int = 1, clock: Clock | None = None, exit_wait_seconds: float = 60.0) -> None:
        self.clock = clock or Clock()
        self.parts = FakeLauncher(self.clock)
        options = FlowOptions(workers=workers, hang_seconds=HANG_SECONDS, exit_wait_seconds=exit_wait_seconds)
        place = settings(gettempdir())
        super().__init__(CLICKS_FLOW, place, options, monotonic=self.clock, launcher=self.parts)

    @property
    def launches(self) -> list[float]:
        """When processes were started."""
        return self.parts.launches

    @property
    def fakes(self) -> list[FakePopen]:
        """The processes of the latest start."""
        return self.parts.fakes

    def end(self, code: int, reason: str = "", worker: int = 0) -> None:
        """One process leaves, and says why where its code means something."""
        ending = next((ending for ending, of_ending in EXIT_CODES.items() if of_ending == code), None)
        if ending is not None:
            self.say(ending, reason, worker)
        self.fakes[worker].end(code)

    def say(self, ending: Ending, reason: str, worker: int = 0) -> None:
        ProgressReport(self._processes[worker].page.fd).end(ending, reason)

    def live(self, seconds: float) -> None:
        """Every process ends an epoch, and the set lives for so long."""
        for process in self._processes:
            ProgressReport(process.page.fd).epoch()
        self.watch()
        self.clock.seconds += seconds

    def watch_until_launched(self) -> None:
        """Look after the set several times a second until it was started again."""
        before = len(self.launches)
        for _ in range(MOST_WATCHES):
            self.watch()
            if len(self.launches) > before:
                return
            self.clock.seconds += LOOK_SECONDS
        raise AssertionError("the set is not started again")


def test_a_first_start_that_finds_a_part_unavailable_is_tried_again_instead_of_leaving_nobody_to_count(
    tmp_path: Path,
) -> None:
    runner = Runner(tmp_path)

    runner.run(lambda: runner.watched)

    assert runner.starts == 2


def test_the_end_of_one_process_ends_the_others_and_starts_all_again_after_a_pause() -> None:
    runner = FakeSet(workers=3, exit_wait_seconds=0.0)
    runner.start()
    before = runner.fakes
    runner.live(1.0)
    runner.end(-9, worker=1)

    runner.watch()

    assert [fake.returncode for fake in before] == [-9, -9, -9]
    assert runner.problem() == "a process ended; the set is started again"
    assert len(runner.launches) == 1
    runner.watch_until_launched()
    assert (len(runner.pids), runner.restarts, runner.problem()) == (3, 1, "starting")


@pytest.mark.parametrize(
    ("exit_wait_seconds", "problem"),
    [(60.0, "waiting: Kafka does not answer"), (0.0, "a process ended; the set is started again")],
)
def test_the_process_that_ends_last_can_say_why_the_set_ended_while_it_is_waited_for(
    exit_wait_seconds: float, problem: str
) -> None:
    runner = FakeSet(workers=2, exit_wait_seconds=exit_wait_seconds)
    runner.start()
    runner.live(1.0)
    last = runner.fakes[1]
    last.at_poll[last.polls + 3] = lambda: runner.end(EXIT_UNAVAILABLE, "Kafka does not answer", worker=1)
    runner.end(1)

    runner.watch()

    assert runner.problem() == problem


def test_a_set_starts_no_process_without_a_partition() -> None:
    runner = FakeSet(workers=5)
    runner.parts.partitions = 3
    runner.start()
    assert len(runner.pids) == 3


def test_a_set_whose_topic_grew_is_started_again_by_a_new_generation_with_the_workers_that_it_lacked() -> None:
    runner = FakeSet(workers=5)
    runner.parts.partitions = 3
    runner.start()
    runner.live(TOPIC_SECONDS + 1)
    before = runner.generation
    runner.parts.partitions = 8

    runner.watch()

    assert runner.problem() == "log has more partitions; the set is started again"
    runner.watch_until_launched()
    assert (len(runner.pids), runner.generation) == (5, before + 1)


def test_a_process_that_gives_no_sign_of_life_is_killed_and_its_hang_counted() -> None:
    runner = FakeSet()
    runner.start()
    runner.live(HANG_SECONDS + 1)
    hung = runner.fakes[0]

    runner.watch_until_launched()

    assert (hung.returncode, runner.hangs, runner.restarts) == (-9, 1, 1)


def test_time_in_which_nobody_looked_after_a_set_is_blamed_on_none_of_its_processes() -> None:
    runner = FakeSet(workers=2)
    runner.start()
    runner.live(10 * HANG_SECONDS)

    runner.watch()

    assert (len(runner.pids), runner.hangs, runner.restarts) == (2, 0, 0)


def test_a_flow_that_leaves_because_a_part_is_unavailable_is_waited_for_longer_each_time_and_never_fails() -> None:
    runner = FakeSet()
    runner.start()
    pauses = []
    for _ in range(100):
        ended_at = runner.clock()
        runner.end(EXIT_UNAVAILABLE, "ClickHouse does not answer")
        runner.watch()
        assert runner.problem() == "waiting: ClickHouse does not answer"
        runner.watch_until_launched()
        pauses.append(runner.clock() - ended_at)

    assert all(before <= after for before, after in pairwise(pauses))
    assert pauses[0] < 0.5
    assert pauses[-1] == pytest.approx(POLICY.max_backoff_ms / 1_000, abs=0.2)


def test_a_restart_that_finds_a_part_unavailable_is_tried_again_after_longer_pauses_and_counted_once() -> None:
    runner = FakeSet()
    runner.start()
    runner.live(1.0)
    runner.end(1)
    runner.watch()
    runner.parts.unavailable = True
    while len(runner.parts.tries) < 60:
        runner.clock.seconds += LOOK_SECONDS
        with suppress(Unavailable):
            runner.watch()

    assert runner.problem() == "waiting: Kafka does not answer"
    pauses = [after - before for before, after in pairwise(runner.parts.tries[1:])]
    assert all(before <= after for before, after in pairwise(pauses))
    assert pauses[-1] == pytest.approx(POLICY.max_backoff_ms / 1_000, abs=0.2)
    runner.parts.unavailable = False
    runner.clock.seconds += 10.0
    runner.watch_until_launched()
    assert runner.restarts == 1


def test_whoever_looks_while_a_restart_waits_for_a_part_hears_which_at_every_look() -> None:
    runner = FakeSet()
    runner.start()
    runner.end(1)
    runner.watch()
    runner.clock.seconds += 1.0
    runner.parts.unavailable = True
    for _ in range(3):
        with pytest.raises(Unavailable, match="Kafka does not answer"):
            runner.watch()
    assert len(runner.parts.tries) == 2


@pytest.mark.parametrize(
    ("code", "failure", "text"),
    [
        (EXIT_FENCED, FlowFenced, "the flow clicks stopped, a newer start of the flow has taken over: why"),
        (EXIT_REFUSED, FlowFailed, "the flow clicks stopped, it was refused: why"),
        (EXIT_SETTINGS, FlowFailed, "the flow clicks stopped: its settings cannot be used"),
    ],
)
def test_a_flow_that_was_fenced_or_refused_ends_and_is_not_started_again(
    code: int, failure: type[FlowFailed], text: str
) -> None:
    runner = FakeSet()
    runner.start()
    runner.live(1.0)
    runner.end(code, "why")

    with pytest.raises(FlowFailed) as raised:
        runner.watch()

    assert (type(raised.value), str(raised.value)) == (failure, text)
    runner.clock.seconds += 10**6
    runner.watch()
    assert (len(runner.launches), runner.restarts) == (1, 0)


def die(runner: FakeSet) -> None:
    runner.end(1)
    runner.watch()


def test_the_eleventh_death_within_five_minutes_ends_the_flow() -> None:
    runner = FakeSet()
    runner.start()
    for _ in range(10):
        die(runner)
        runner.watch_until_launched()

    with pytest.raises(FlowFailed, match=r"the flow clicks ended 11 times within 5 minutes") as raised:
        die(runner)

    assert not isinstance(raised.value, FlowFenced)
    assert runner.pids == []


def test_deaths_that_are_half_a_minute_apart_never_end_the_flow() -> None:
    runner = FakeSet()
    runner.start()
    for _ in range(50):
        runner.live(30.0)
        runner.end(1)
        runner.watch_until_launched()
    assert runner.restarts == 50


def test_a_stopped_set_is_not_started_again() -> None:
    runner = FakeSet()
    runner.start()
    die(runner)
    runner.stop()
    runner.clock.seconds += 10**6
    runner.watch()
    assert len(runner.launches) == 1


@given(
    st.permutations([(EXIT_FENCED, "f"), (EXIT_REFUSED, "r"), (EXIT_SETTINGS, ""), (EXIT_UNAVAILABLE, "u"), (1, "")]),
    st.integers(0, 4),
)
def test_the_ending_of_a_set_is_its_most_decisive_ones_whichever_process_it_is_of(
    endings: list[tuple[int, str]], left_out: int
) -> None:
    decisive = [(EXIT_FENCED, "f"), (EXIT_REFUSED, "r"), (EXIT_SETTINGS, ""), (EXIT_UNAVAILABLE, "u"), (1, "")]
    kept = decisive[left_out:]
    assert ending_of([(None, ""), *(ending for ending in endings if ending in kept)]) == kept[0]


class Rivals:
    """Two sets of the same flow: each launch fences the other's processes, which say so when they are asked."""

    def __init__(self) -> None:
        clock = Clock()
        self.sets = [FakeSet(clock=clock), FakeSet(clock=clock)]
        self.launched = [0, 0]
        self.fenced = [False, False]
        self.deaths = 0
        self.newest = 0
        for which in (0, 1):
            self.sets[which].start()
            self._note_launches()

    def happen(self, event: str, which: int, seconds: float) -> None:
        runner = self.sets[which]
        runner.clock.seconds += seconds
        runs = bool(runner.pids)
        if event == "die" and runs:
            runner.end(1)
            self.deaths += 1
        elif event == "notice" and runs and which != self.newest:
            runner.end(EXIT_FENCED, "generation 2 has taken over from 1")
        elif event == "watch":
            try:
                runner.watch()
            except FlowFenced:
                self.fenced[which] = True
            except FlowFailed:
                return
        self._note_launches()

    def _note_launches(self) -> None:
        for which, runner in enumerate(self.sets):
            if len(runner.launches) > self.launched[which]:
                assert not self.fenced[which], "a set that was fenced took over again"
                self.launched[which], self.newest = len(runner.launches), which


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["die", "notice", "notice", "watch", "watch", "watch"]),
            st.sampled_from([0, 1]),
            st.floats(0, 20),
        ),
        max_size=80,
    )
)
@example([("notice", 0, 1.0), ("watch", 0, 0.0), *[("watch", 1, HANG_SECONDS + 1.0)] * 3])
def test_two_sets_never_fence_each_other_by_turns(events: list[tuple[str, int, float]]) -> None:
    rivals = Rivals()
    for event in events:
        rivals.happen(*event)
    assert sum(rivals.launched) <= 2 + rivals.deaths + sum(runner.hangs for runner in rivals.sets)
    assert not all(rivals.fenced)
