"""When a process is started again and when it is given up."""

from ops.stack import policy
from ops.stack.policy import ProcessState, RestartPolicy, Supervised

PATIENT = RestartPolicy(first_backoff_ms=100, max_backoff_ms=500, crash_limit=5, crash_window_ms=60_000, start_limit=2)


def _running(now_ms: int = 0) -> Supervised:
    return policy.healthy(policy.started(now_ms), now_ms)


def _die(process: Supervised, now_ms: int) -> Supervised:
    return policy.exited(process, now_ms, -9, PATIENT)


def _live_again(process: Supervised, now_ms: int) -> Supervised:
    return policy.healthy(policy.restarted(process, now_ms), now_ms)


def test_a_process_runs_when_its_first_health_check_passes() -> None:
    process = policy.started(10)
    assert process.state is ProcessState.STARTING
    assert policy.healthy(process, 20) == Supervised(ProcessState.RUNNING, 20, ever_healthy=True)


def test_a_later_health_check_changes_nothing() -> None:
    process = _running(20)
    assert policy.healthy(process, 99) == process


def test_a_dead_process_is_due_after_its_back_off_and_not_before() -> None:
    process = _die(_running(), 1000)
    assert process.state is ProcessState.BACKING_OFF
    assert not policy.is_due(process, 1099)
    assert policy.is_due(process, 1100)


def test_the_back_off_doubles_up_to_its_limit() -> None:
    process, waits = _running(), []
    for death in range(4):
        process = _die(process, death * 1000)
        assert process.resume_at_ms is not None
        waits.append(process.resume_at_ms - death * 1000)
        process = _live_again(process, death * 1000 + waits[-1])
    assert waits == [100, 200, 400, 500]


def test_a_restarted_process_is_counted_and_starting() -> None:
    process = policy.restarted(_die(_running(), 0), 100)
    assert (process.state, process.restarts, process.resume_at_ms) == (ProcessState.STARTING, 1, None)


def test_the_fifth_death_within_a_minute_is_a_crash_loop() -> None:
    process = _running()
    for death in range(4):
        process = _live_again(_die(process, death * 10_000), death * 10_000 + 500)
    process = _die(process, 59_000)
    assert process.state is ProcessState.CRASHED
    assert not policy.is_due(process, 10**9)


def test_deaths_far_apart_are_no_crash_loop() -> None:
    process = _running()
    for death in range(20):
        process = _live_again(_die(process, death * 16_000), death * 16_000 + 500)
    assert process.state is ProcessState.RUNNING
    assert process.restarts == 20


def test_a_process_that_never_was_healthy_is_given_up_sooner() -> None:
    process = _die(policy.started(0), 10)
    assert process.state is ProcessState.BACKING_OFF
    assert _die(policy.restarted(process, 110), 120).state is ProcessState.CRASHED


def test_expected_deaths_never_make_a_crash_loop() -> None:
    process = _running()
    for drill in range(20):
        process = policy.exited(process, drill, -9, PATIENT, expected=True)
        assert process.resume_at_ms == drill + 100
        process = _live_again(process, drill)
    assert process.state is ProcessState.RUNNING


def test_a_new_start_by_a_person_forgives_but_keeps_the_count() -> None:
    process = policy.started(5, restarts=7)
    assert (process.state, process.deaths_ms, process.restarts) == (ProcessState.STARTING, (), 7)


def test_a_stopped_process_stays_stopped() -> None:
    process = policy.stopped(_die(_running(), 0), 1)
    assert not policy.is_due(process, 10**9)
    assert _die(process, 2).state is ProcessState.STOPPED
