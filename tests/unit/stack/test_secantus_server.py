"""How the embedded Mongo ends transactions that nobody goes on with, and which answers to writes it keeps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from secantus.transactions import Transaction, TransactionRegistry, TxnState

from ops.stack.parts.secantus_server import forget_the_oldest_answers, look_once_a_second


class Clock:
    """The time of a registry."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    # What is replaced here is as it was for other tests of this process.
    for name in ("_prune_locked", "_prune_retryable_locked"):
        monkeypatch.setattr(TransactionRegistry, name, getattr(TransactionRegistry, name))
    look_once_a_second()
    forget_the_oldest_answers()
    return Clock()


def begun(registry: TransactionRegistry, session: bytes) -> Transaction:
    transaction, refused = registry.for_statement(session, None, 1, start=True)
    assert refused is None
    assert transaction is not None
    return transaction


def test_no_transaction_waits_for_a_statement_of_another_one(clock: Clock) -> None:
    registry = TransactionRegistry(lifetime_seconds=10, time_func=clock)
    slow = begun(registry, b"slow")
    with ThreadPoolExecutor(1) as pool, slow.mutex:
        clock.now += 60
        assert pool.submit(begun, registry, b"other").result(10).state is TxnState.IN_PROGRESS
    assert slow.state is TxnState.IN_PROGRESS


def test_a_transaction_that_nobody_goes_on_with_is_ended_when_another_one_begins(clock: Clock) -> None:
    ended: list[Transaction] = []
    registry = TransactionRegistry(rollback_func=ended.append, lifetime_seconds=10, time_func=clock)
    left, used = begun(registry, b"left"), begun(registry, b"used")
    clock.now += 9
    registry.for_statement(b"used", None, 1, start=False)
    clock.now += 2
    begun(registry, b"other")
    assert (left.state, used.state, ended) == (TxnState.ABORTED, TxnState.IN_PROGRESS, [left])


def answered(registry: TransactionRegistry, number: int) -> None:
    registry.record_retryable(b"session", number, b"write", {"ok": 1.0, "n": number})


def kept(registry: TransactionRegistry, *numbers: int) -> list[int]:
    found = [registry.retryable_reply(b"session", number, b"write") for number in numbers]
    return [int(each["n"]) for each in found if each is not None]


def test_a_write_that_is_sent_again_within_half_an_hour_gets_the_answer_of_the_first_time(clock: Clock) -> None:
    registry = TransactionRegistry(time_func=clock)
    for number in (1, 2):
        answered(registry, number)
        clock.now += 1_000
    assert kept(registry, 1, 2) == [2]
    clock.now += 1_000
    assert kept(registry, 1, 2) == []


def test_of_more_than_ten_thousand_answers_the_oldest_are_forgotten(clock: Clock) -> None:
    registry = TransactionRegistry(time_func=clock)
    for number in range(1, 10_004):
        answered(registry, number)
    assert kept(registry, 1, 2, 3, 4, 10_003) == [4, 10_003]
