"""SecantusDB with a setting that its command line does not have, without two costs and a false refusal of its own.

A process that is killed within a transaction leaves it open, and whoever writes the same documents waits until Mongo
ends it. By default that takes a minute, in which the order is stuck. It is run as a file, because that starts sooner.

SecantusDB looks for such transactions at each statement, through all sessions that there ever were, and waits for each
statement that runs meanwhile, so that all transactions wait for the slowest one. Here it looks once a second, and
passes by what is at work.

It keeps the answers to the last 10,000 writes, for clients that lost one, and looks through all of them at each
write, twice; when there are as many, it sorts them as well. They are in the order of their times already: here it looks
at the oldest only.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from typing import Final

from secantus import SecantusDBServer
from secantus.storage import _UNIQ_TABLE, Storage, _escape_kb
from secantus.transactions import (
    _RETRYABLE_RECORD_LIFETIME_SECONDS,
    _RETRYABLE_RECORD_MAX,
    Transaction,
    TransactionRegistry,
    TxnState,
)

_IDLE_TRANSACTION_SECONDS: Final = 10.0
"""As long as a transaction of ours may take in all; between two of its statements pass milliseconds."""

_LOOK_SECONDS: Final = 1.0
_THIRTY_DAYS_SECONDS: Final = 30 * 24 * 3_600
_OPLOG_ENTRIES: Final = 20_000_000


def look_once_a_second() -> None:
    """Let all registries look for transactions that do nothing once a second, and wait for none."""
    looked: dict[int, float] = {}

    def end_idle(registry: TransactionRegistry) -> int:
        now = registry._time()
        if now - looked.get(id(registry), 0.0) < _LOOK_SECONDS:
            return 0
        looked[id(registry)] = now
        since = now - registry._lifetime
        return sum(_end(registry, each) for each in registry._txns.values() if each.last_use < since)

    TransactionRegistry._prune_locked = end_idle


def _end(registry: TransactionRegistry, transaction: Transaction) -> bool:
    """End a transaction that nothing is done in; whether it was under way."""
    if not transaction.mutex.acquire(blocking=False):
        return False
    try:
        if transaction.state is not TxnState.IN_PROGRESS:
            return False
        registry._rollback_quietly(transaction)
        transaction.state = TxnState.ABORTED
        return True
    finally:
        transaction.mutex.release()


def forget_the_oldest_answers() -> None:
    """Let all registries forget answers to writes from the oldest on, without a look at the others.

    An answer that is written again keeps its place, so that it and those behind it may stay longer than half an hour:
    never more of them than the bound.
    """

    def forget(registry: TransactionRegistry) -> None:
        answers, since = registry._retryable, registry._time() - _RETRYABLE_RECORD_LIFETIME_SECONDS
        while answers:
            oldest = next(iter(answers))
            if len(answers) <= _RETRYABLE_RECORD_MAX and answers[oldest][1] >= since:
                return
            del answers[oldest]

    TransactionRegistry._prune_retryable_locked = forget


def say_when_a_key_is_contended() -> None:
    """Let all storages say that a write met another one where both give up and take again the same unique key.

    An update does so with every unique key of its document. The storage ignores it if the first half meets another
    transaction, and takes the second half for a document of the same key: an update would be refused as a duplicate.
    """

    def release(self: Storage, db: str, coll: str, name: str, keys: list[bytes], recordid: int) -> None:
        cursor = self._cursor(_UNIQ_TABLE)
        for key in keys:
            cursor.reset()
            cursor.set_key(db, coll, name, _escape_kb(key))
            if cursor.search() == 0 and cursor.get_value() == recordid:
                cursor.remove()

    Storage._release_unique_keys = release


def main() -> int:
    """Serve until a signal."""
    look_once_a_second()
    forget_the_oldest_answers()
    say_when_a_key_is_contended()
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--storage-path", required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = SecantusDBServer(
        host=options.host,
        port=options.port,
        storage_path=options.storage_path,
        noop_heartbeat_seconds=1,
        cache_size="512M",
        oplog_retention_seconds=_THIRTY_DAYS_SECONDS,
        oplog_max_entries=_OPLOG_ENTRIES,
        # Without it a kill loses acknowledged transactions.
        sync_on_commit=True,
        transaction_lifetime_seconds=_IDLE_TRANSACTION_SECONDS,
        enable_test_commands=False,
    )

    # A handler in the middle of the main thread's wait would want the lock that this wait has. The server's threads
    # take over that these signals are for nobody else.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    server.start()
    signal.sigwait(ends)
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
