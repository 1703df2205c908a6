import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.worker_pool import PoolFull, WorkerPool

SECONDS = 10.0


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_call_gives_its_result_or_its_error() -> None:
    pool = WorkerPool(2, 2, "pool")
    assert pool.submit(lambda: 3).result(SECONDS) == 3
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(SECONDS)
    assert pool.submit(lambda: 4).result(SECONDS) == 4
    pool.close()


def test_calls_run_side_by_side_up_to_the_number_of_threads() -> None:
    pool, meeting = WorkerPool(3, 0, "pool"), threading.Barrier(3)
    met = [pool.submit(lambda: meeting.wait(SECONDS)) for _ in range(3)]
    assert sorted(future.result(SECONDS) for future in met) == [0, 1, 2]
    pool.close()


@given(st.integers(1, 3), st.integers(0, 5))
def test_no_more_than_the_bound_are_taken_while_calls_block(threads: int, max_waiting: int) -> None:
    pool, release = WorkerPool(threads, max_waiting, "pool"), threading.Event()
    taken = [pool.submit(lambda: release.wait(SECONDS)) for _ in range(threads + max_waiting)]
    with pytest.raises(PoolFull):
        pool.submit(lambda: None)
    release.set()
    assert all(future.result(SECONDS) for future in taken)
    assert pool.submit(lambda: True).result(SECONDS)
    pool.close()


def test_a_call_that_was_cancelled_before_its_turn_is_not_run(release: threading.Event) -> None:
    pool, ran = WorkerPool(1, 2, "pool"), threading.Event()
    pool.submit(lambda: release.wait(SECONDS))
    cancelled = pool.submit(ran.set)
    last = pool.submit(lambda: None)
    assert cancelled.cancel()
    release.set()
    last.result(SECONDS)
    assert not ran.is_set()
    pool.close()


def test_a_closed_pool_takes_nothing_and_its_threads_end(release: threading.Event) -> None:
    pool = WorkerPool(2, 0, "pool-that-ends")
    pool.submit(lambda: None).result(SECONDS)
    pool.close()
    with pytest.raises(PoolFull):
        pool.submit(lambda: None)
    for thread in threading.enumerate():
        if thread.name == "pool-that-ends":
            thread.join(SECONDS)
            assert not thread.is_alive()


def test_whoever_has_a_result_may_submit_the_next_call_at_once() -> None:
    pool = WorkerPool(1, 0, "pool")
    assert [pool.submit(lambda: 1).result(SECONDS) for _ in range(1_000)] == [1] * 1_000
    pool.close()
