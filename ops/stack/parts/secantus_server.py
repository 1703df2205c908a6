"""SecantusDB with the one setting that its command line does not have: how long a transaction may do nothing.

A process that is killed within a transaction leaves it open, and whoever writes the same documents waits until Mongo
ends it. By default that takes a minute, in which the order is stuck. It is run as a file, because that starts sooner.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from types import FrameType
from typing import Final

from secantus import SecantusDBServer

_IDLE_TRANSACTION_SECONDS: Final = 10.0
"""As long as a transaction of ours may take in all; between two of its statements pass milliseconds."""

_THIRTY_DAYS_SECONDS: Final = 30 * 24 * 3_600
_OPLOG_ENTRIES: Final = 20_000_000


def main() -> int:
    """Serve until a signal."""
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

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stop()
        sys.exit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    server.start()
    server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
