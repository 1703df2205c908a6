"""How the embedded Mongo ends transactions that nobody goes on with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from secantus.transactions import Transaction, TransactionRegistry, TxnState

from ops.stack.parts.secantus_server import look_once_a_second


class Clock:
    """The time of a registry."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    # What is replaced here is as it was for other tests of this process.
    monkeypatch.setattr(TransactionRegistry, "_prune_locked", TransactionRegistry._prune_locked)
    look_once_a_second()
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
