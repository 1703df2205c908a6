"""`python -m ops.stack.clickhouse_http --data DIR --port N`: serve one data folder until a signal."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

import uvicorn

from ops.stack.clickhouse_http.app import ClickHouseHttp
from ops.stack.clickhouse_http.engine import Engine
from ops.stack.clickhouse_http.errors import QueryError

_LARGEST_HEAD_BYTES = 1 << 20
_DRAIN_SECONDS = 5


def main() -> int:
    """Run the server; 0 after an orderly stop, 1 when the data folder cannot be opened."""
    options = _options()
    try:
        engine = Engine(options.data, fsync=not options.no_fsync, max_execution_seconds=options.max_execution_seconds)
    except QueryError as error:
        sys.stderr.write(f"cannot open {options.data}: {error.message}\n")
        return 1
    application = ClickHouseHttp(engine, workers=options.workers, max_body_bytes=options.max_body_bytes)
    if options.stop_on_stdin_eof:
        threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
    # uvicorn drains at these signals and then raises them again; what comes after it must still run.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.run(
        application,
        host=options.host,
        port=options.port,
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        h11_max_incomplete_event_size=_LARGEST_HEAD_BYTES,
    )
    # A query may run for minutes; what was acknowledged is on disk, so a stop does not wait for one.
    threading.Timer(_DRAIN_SECONDS, os._exit, args=(0,)).start()
    application.close()
    engine.close()
    os._exit(0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="clickhouse_http", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--max-body-bytes", type=int, default=1 << 30)
    parser.add_argument("--max-execution-seconds", type=int, default=300)
    parser.add_argument("--no-fsync", action="store_true", help="acknowledge inserts before they are on disk")
    parser.add_argument("--stop-on-stdin-eof", action="store_true", help="stop when whoever started this is gone")
    return parser.parse_args()


def _stop_at_end_of_stdin() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
