"""When a process is started again, how long that is waited for, and what is never started again by itself."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ops.stack.registry import REGISTRY
from runtime import supervision
from runtime.supervision import DEFAULT_POLICY, FINAL, ProcessState, RestartPolicy, Supervised

UNAVAILABLE = 5
FLOW_EXITS = REGISTRY.service("flow").final_exits
PATIENT = RestartPolicy(first_backoff_ms=100, max_backoff_ms=500, crash_limit=5, crash_window_ms=60_000, start_limit=2)


def _running(now_ms: int = 0) -> Supervised:
    return supervision.healthy(supervision.started(now_ms), now_ms)


def _die(process: Supervised, now_ms: int) -> Supervised:
    return supervision.exited(process, now_ms, -9, PATIENT)


def _live_again(process: Supervised, now_ms: int) -> Supervised:
    return supervision.healthy(supervision.restarted(process, now_ms), now_ms)


def test_a_process_runs_when_its_first_health_check_passes() -> None:
    process = supervision.started(10)
    assert process.state is ProcessState.STARTING
    assert supervision.healthy(process, 20) == Supervised(ProcessState.RUNNING, 20, ever_healthy=True)


def test_a_later_health_check_changes_nothing() -> None:
    process = _running(20)
    assert supervision.healthy(process, 99) == process


def test_a_dead_process_is_due_after_its_back_off_and_not_before() -> None:
    process = _die(_running(), 1000)
    assert process.state is ProcessState.BACKING_OFF
    assert not supervision.is_due(process, 1099)
    assert supervision.is_due(process, 1100)


def test_the_back_off_doubles_up_to_its_limit() -> None:
    process, waits = _running(), []
    for death in range(4):
        process = _die(process, death * 1000)
        assert process.resume_at_ms is not None
        waits.append(process.resume_at_ms - death * 1000)
        process = _live_again(process, death * 1000 + waits[-1])
    assert waits == [100, 200, 400, 500]


def test_a_restarted_process_is_counted_and_starting() -> None:
    process = supervision.restarted(_die(_running(), 0), 100)
    assert (process.state, process.restarts, process.resume_at_ms) == (ProcessState.STARTING, 1, None)


def test_the_fifth_death_within_a_minute_is_a_crash_loop() -> None:
    process = _running()
    for death in range(4):
        process = _live_again(_die(process, death * 10_000), death * 10_000 + 500)
    process = _die(process, 59_000)
    assert process.state is ProcessState.CRASHED
    assert not supervision.is_due(process, 59_000 + PATIENT.crash_pause_ms - 1)
    assert supervision.is_due(process, 59_000 + PATIENT.crash_pause_ms)


def test_deaths_far_apart_are_no_crash_loop() -> None:
    process = _running()
    for death in range(20):
        process = _live_again(_die(process, death * 16_000), death * 16_000 + 500)
    assert process.state is ProcessState.RUNNING
    assert process.restarts == 20


def test_a_process_that_never_was_healthy_crashes_sooner() -> None:
    process = _die(supervision.started(0), 10)
    assert process.state is ProcessState.BACKING_OFF
    assert _die(supervision.restarted(process, 110), 120).state is ProcessState.CRASHED


def test_expected_deaths_never_make_a_crash_loop() -> None:
    process = _running()
    for drill in range(20):
        process = supervision.exited(process, drill, -9, PATIENT, expected=True)
        assert process.resume_at_ms == drill + 100
        process = _live_again(process, drill)
    assert process.state is ProcessState.RUNNING


def _find_unavailable(process: Supervised, now_ms: int) -> Supervised:
    return supervision.exited(process, now_ms, UNAVAILABLE, PATIENT, unavailable_exits={UNAVAILABLE})


def test_exits_because_something_else_was_unavailable_back_off_for_longer_and_never_crash() -> None:
    process, pauses = supervision.started(0), []
    for now_ms in range(100):
        process = _find_unavailable(process, now_ms)
        assert process.state is ProcessState.BACKING_OFF
        assert process.resume_at_ms is not None
        pauses.append(process.resume_at_ms - now_ms)
        process = supervision.restarted(process, now_ms)
    assert pauses == [100, 200, 400, *[500] * 97]
    assert process.deaths_ms == ()


def test_health_ends_the_growth_of_the_pause_for_what_is_unavailable() -> None:
    process = supervision.started(0)
    for _ in range(5):
        process = supervision.restarted(_find_unavailable(process, 10), 20)
    process = _find_unavailable(supervision.healthy(process, 30), 40)
    assert process.resume_at_ms == 40 + PATIENT.first_backoff_ms


def test_an_exit_for_what_is_unavailable_leaves_a_crash_loop_as_near_as_it_was() -> None:
    process = _running()
    for death in range(4):
        process = _live_again(_die(process, death * 10), death * 10 + 1)
        process = _live_again(_find_unavailable(process, death * 10 + 2), death * 10 + 3)
    assert _find_unavailable(process, 50).state is ProcessState.BACKING_OFF
    assert _die(process, 50).state is ProcessState.CRASHED


def test_the_same_exit_is_a_death_where_it_means_nothing_special() -> None:
    assert supervision.exited(_running(), 0, UNAVAILABLE, PATIENT).deaths_ms == (0,)


def test_a_new_start_by_a_person_forgives_but_keeps_the_count() -> None:
    process = supervision.started(5, restarts=7)
    assert (process.state, process.deaths_ms, process.restarts) == (ProcessState.STARTING, (), 7)


def test_a_stopped_process_stays_stopped() -> None:
    process = supervision.stopped(_die(_running(), 0), 1)
    assert not supervision.is_due(process, 10**9)
    assert _die(process, 2).state is ProcessState.STOPPED


def test_each_further_death_after_a_crash_is_waited_for_longer_up_to_a_minute() -> None:
    process, pauses = _crashed(), []
    for _ in range(7):
        assert process.resume_at_ms is not None
        pauses.append(process.resume_at_ms - process.since_ms)
        process = supervision.exited(_live_again(process, process.resume_at_ms), process.resume_at_ms + 100, 1)
    assert pauses == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]


def test_a_minute_of_health_forgives_a_crash() -> None:
    process = _live_again(_crashed(), 100_000)
    process = supervision.exited(process, 100_000 + DEFAULT_POLICY.crash_window_ms, 1)
    assert (process.state, process.crashes) == (ProcessState.BACKING_OFF, 0)


def test_less_than_a_minute_of_health_does_not_forgive_a_crash() -> None:
    process = _live_again(_crashed(), 100_000)
    process = supervision.exited(process, 100_000 + DEFAULT_POLICY.crash_window_ms - 1, 1)
    assert (process.state, process.crashes) == (ProcessState.CRASHED, 2)


def test_who_waits_for_a_start_can_be_hurried_and_nobody_else_can() -> None:
    assert supervision.is_due(supervision.hurried(_crashed(), 7), 7)
    assert supervision.hurried(_running(), 7) == _running()


def test_a_flow_that_was_fenced_says_so_and_a_refused_setting_is_final_for_every_service() -> None:
    flow = supervision.exited(_running(), 5, 3, final_exits=FLOW_EXITS)
    assert (flow.state, flow.last_exit) == (ProcessState.FENCED, 3)
    for service in REGISTRY.services:
        refused = supervision.exited(supervision.started(0), 5, 2, final_exits=service.final_exits)
        assert refused.state is ProcessState.REFUSED
    collector = supervision.exited(_running(), 5, 3, final_exits=REGISTRY.service("collector").final_exits)
    assert collector.state is ProcessState.BACKING_OFF
    assert supervision.exited(_running(), 5, 2).state is ProcessState.BACKING_OFF


def test_a_fenced_flow_runs_again_when_a_person_starts_it() -> None:
    fenced = supervision.exited(_running(), 5, 3, final_exits=FLOW_EXITS)
    assert supervision.started(9, fenced.restarts + 1).state is ProcessState.STARTING


def _crashed() -> Supervised:
    process = supervision.exited(supervision.started(0), 10, 1)
    return supervision.exited(supervision.restarted(process, 300), 310, 1)


@dataclass
class _Life:
    """A process and its supervisor, driven by random events; `now_ms` never goes back."""

    process: Supervised = field(default_factory=lambda: supervision.started(0))
    now_ms: int = 0
    starts: list[int] = field(default_factory=lambda: [0])
    hangs: int = 0

    def happen(self, event: str, after_ms: int) -> None:
        self.now_ms += after_ms
        runs = self.process.state in (ProcessState.STARTING, ProcessState.RUNNING)
        if runs and event == "healthy":
            self.process = supervision.healthy(self.process, self.now_ms)
        elif runs and event == "hang":
            self.hangs += 1
            self.process = supervision.exited(supervision.hung(self.process), self.now_ms, -9)
        elif runs and event in ("1", "2", "3", "5", "drill"):
            code = 1 if event == "drill" else int(event)
            expected = event == "drill"
            self.process = supervision.exited(
                self.process,
                self.now_ms,
                code,
                expected=expected,
                final_exits=FLOW_EXITS,
                unavailable_exits={UNAVAILABLE},
            )
        elif supervision.is_due(self.process, self.now_ms):
            self.process = supervision.restarted(self.process, self.now_ms)
            self.starts.append(self.now_ms)


_EVENTS = st.lists(
    st.tuples(st.sampled_from(["healthy", "hang", "1", "1", "2", "3", "5", "drill", "tick"]), st.integers(0, 90_000)),
    max_size=60,
)


@given(_EVENTS)
def test_whatever_happens_a_process_runs_or_its_next_start_is_within_a_minute_or_its_end_is_final(
    events: list[tuple[str, int]],
) -> None:
    life = _Life()
    for event, after_ms in events:
        life.happen(event, after_ms)
        process = life.process
        waits = process.state in (ProcessState.BACKING_OFF, ProcessState.CRASHED)
        assert waits == (process.resume_at_ms is not None)
        if process.resume_at_ms is not None:
            assert 0 < process.resume_at_ms - process.since_ms <= DEFAULT_POLICY.max_crash_pause_ms
        if process.state in FINAL:
            assert not supervision.is_due(process, 10**12)


@given(_EVENTS)
def test_what_else_is_unavailable_never_makes_a_process_crash(events: list[tuple[str, int]]) -> None:
    life = _Life()
    for event, after_ms in events:
        before = life.process
        life.happen(event, after_ms)
        if event == "5" and before.state in (ProcessState.STARTING, ProcessState.RUNNING):
            assert life.process.state is ProcessState.BACKING_OFF
            assert set(life.process.deaths_ms) <= set(before.deaths_ms)


@given(_EVENTS)
def test_every_restart_and_every_hang_is_counted(events: list[tuple[str, int]]) -> None:
    life = _Life()
    for event, after_ms in events:
        life.happen(event, after_ms)
    assert life.process.restarts == len(life.starts) - 1
    assert life.process.hangs == life.hangs


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2_000)), min_size=200, max_size=400))
def test_a_process_that_never_lives_for_a_minute_is_started_some_seventy_times_an_hour_at_most(
    lives: list[tuple[bool, int]],
) -> None:
    life = _Life()
    for becomes_healthy, lives_ms in lives:
        if becomes_healthy:
            life.happen("healthy", 0)
        life.happen("1", lives_ms)
        assert life.process.resume_at_ms is not None
        life.happen("tick", life.process.resume_at_ms - life.now_ms)
    for start in life.starts:
        assert sum(start <= other < start + 3_600_000 for other in life.starts) <= 70
