"""Looks at processes: side by side, with deadlines that hold whatever a client does, and never two at the same time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ops.stack.health.checks import FINE, Health, no_answer, not_ready
from ops.stack.health.silence import Timing
from ops.stack.health.watch import MOST_CHECKS, HealthWatch, look_at_all
from tests.kits.stack import eventually

TIMING = Timing.of(40.0)


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1_000.0


@dataclass
class Process:
    """Answers what its test wants; while `frozen` it ignores every timeout."""

    answer: Health = FINE
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0
    thawed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.thawed.set()

    def ask(self, timeout_seconds: float) -> Health:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.thawed.wait(20)
        self.at_once -= 1
        return self.answer


@contextmanager
def _frozen(process: Process) -> Iterator[None]:
    process.thawed.clear()
    try:
        yield
    finally:
        process.thawed.set()


def _next(watch: HealthWatch, clock: Clock, pause_seconds: float = TIMING.every_seconds) -> Health:
    """What the next look finds; the clock goes on until it is due."""
    found: list[Health] = []

    def look() -> bool:
        health = watch.look(clock.now)
        found.extend([health] if health is not None else [])
        return bool(found)

    clock.now += pause_seconds
    assert eventually(look)
    return found[0]


def _silent_for(watch: HealthWatch, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds * 10)):
        clock.now += 0.1
        watch.look(clock.now)


def test_what_a_process_answers_is_its_health() -> None:
    process, clock = Process(), Clock()
    watch = HealthWatch(process.ask, TIMING)
    assert (_next(watch, clock), watch.healthy) == (FINE, True)
    process.answer = not_ready("loading")
    assert (_next(watch, clock), watch.healthy) == (not_ready("loading"), False)


def test_a_process_that_is_not_ready_never_hangs() -> None:
    process, clock = Process(not_ready("loading")), Clock()
    watch = HealthWatch(process.ask, TIMING)
    for _ in range(30):
        _next(watch, clock)
        assert not watch.hangs(clock.now, TIMING.hang_seconds)


def test_a_client_that_ignores_its_timeout_counts_as_no_answer_and_is_not_asked_a_second_time() -> None:
    process, clock = Process(), Clock()
    watch = HealthWatch(process.ask, TIMING)
    with _frozen(process):
        _silent_for(watch, clock, TIMING.hang_seconds - 1)
        assert not watch.hangs(clock.now, TIMING.hang_seconds)
        _silent_for(watch, clock, 2)
        assert watch.hangs(clock.now, TIMING.hang_seconds)
        assert watch.health is not None
        assert watch.health.outcome == "no answer"
        assert process.asked == 1


def test_an_answer_that_comes_late_is_an_answer() -> None:
    process, clock = Process(), Clock()
    watch = HealthWatch(process.ask, TIMING)
    with _frozen(process):
        _silent_for(watch, clock, TIMING.hang_seconds - 2)
    assert eventually(lambda: watch.look(clock.now) == FINE)
    _silent_for(watch, clock, 2.5)
    assert not watch.hangs(clock.now, TIMING.hang_seconds)
    assert process.most_at_once == 1


def test_a_refused_connection_is_asked_about_again_soon_and_hangs_only_when_it_lasts() -> None:
    process, clock = Process(no_answer("refused")), Clock()
    watch = HealthWatch(process.ask, TIMING)
    _next(watch, clock)
    began = clock.now
    while not watch.hangs(clock.now, TIMING.hang_seconds):
        _next(watch, clock, TIMING.again_seconds)
    assert TIMING.hang_seconds - 2 <= clock.now - began <= TIMING.hang_seconds + 2


def test_the_time_that_the_supervisor_itself_was_suspended_is_nobodys_silence() -> None:
    process, clock = Process(), Clock()
    watch = HealthWatch(process.ask, TIMING)
    with _frozen(process):
        _silent_for(watch, clock, TIMING.hang_seconds - 5)
        clock.now += 600
        watch.stood_still(600)
        _silent_for(watch, clock, 1)
        assert not watch.hangs(clock.now, TIMING.hang_seconds)


def test_a_new_process_is_not_blamed_for_the_one_before_it() -> None:
    process, clock = Process(), Clock()
    watch = HealthWatch(process.ask, TIMING)
    with _frozen(process):
        _silent_for(watch, clock, TIMING.hang_seconds + 5)
        watch.start_over()
        assert not watch.hangs(clock.now, TIMING.hang_seconds)
        assert watch.health is None
        watch.look(clock.now)
        assert eventually(lambda: process.asked == 2)


def _broken(timeout_seconds: float) -> Health:
    raise ZeroDivisionError(timeout_seconds)


def test_all_are_looked_at_side_by_side_within_one_deadline() -> None:
    frozen, fine, rude = Process(), Process(), Process()
    asks: dict[str, Callable[[float], Health]] = {"frozen": frozen.ask, "fine": fine.ask, "broken": _broken}
    with _frozen(frozen):
        began = time.monotonic()
        found = look_at_all({**asks, "rude": rude.ask}, 0.3)
        assert time.monotonic() - began < 5
    assert {name: health.outcome for name, health in found.items()} == {
        "frozen": "no answer",
        "fine": "fine",
        "rude": "fine",
        "broken": "no answer",
    }
    assert "ZeroDivisionError" in found["broken"].text


def test_where_too_many_checks_hang_nobody_else_is_blamed_and_looking_goes_on_when_they_return() -> None:
    stuck, fine, clock = Process(), Process(), Clock()
    with _frozen(stuck):
        others = [HealthWatch(stuck.ask, TIMING) for _ in range(MOST_CHECKS)]
        for other in others:
            other.look(clock.now)
        watch = HealthWatch(fine.ask, TIMING)
        _silent_for(watch, clock, TIMING.hang_seconds + 5)
        assert (fine.asked, watch.health) == (0, None)
        assert not watch.hangs(clock.now, TIMING.hang_seconds)
    assert eventually(lambda: stuck.at_once == 0)
    assert _next(watch, clock) == FINE
