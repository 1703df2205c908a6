"""One process of the click flow: ``python -m flows.clicks``. The supervisor (``flows.run``) starts it.

It reads its place in the cluster from the environment: ``FLOW_PROCESS``, ``FLOW_ADDRESSES`` (comma-separated),
``FLOW_GENERATION``, ``FLOW_PROGRESS_FILE`` and optionally ``FLOW_ROUND_SECONDS``, ``FLOW_MAX_RECORDS`` and
``FLOW_MEMORY_BYTES``. Exit codes: 0 asked to stop, 3 fenced by a newer start, 4 refused, 5 something was away.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bytewax.testing import cluster_main

from connectors.errors import Fenced, Refused, Unavailable
from connectors.geoip_file import UnusableDatabase
from flows.clicks.flow import Shares, build, rest_collector
from flows.clicks.source import EPOCH_SECONDS, ROUND_SECONDS, Pace, Stop
from marketplace.settings import InvalidSettings, Settings

log = logging.getLogger("flows.clicks")

EXIT_FENCED, EXIT_REFUSED, EXIT_AWAY = 3, 4, 5


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # The engine wraps what a step raises; what it means is at the root.
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def main() -> int:
    """Run until asked to stop; the exit code says what the supervisor should do."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    environment = os.environ
    stop = Stop()
    stop.install()
    progress_file = Path(environment["FLOW_PROGRESS_FILE"]) if "FLOW_PROGRESS_FILE" in environment else None

    def progress() -> None:
        if progress_file is not None:
            progress_file.touch()

    pace = Pace(
        max_records=int(environment.get("FLOW_MAX_RECORDS", "50000")),
        round_seconds=float(environment.get("FLOW_ROUND_SECONDS", str(ROUND_SECONDS))),
    )
    addresses = [a for a in environment.get("FLOW_ADDRESSES", "").split(",") if a]
    shares = Shares(max(1, len(addresses)), int(environment.get("FLOW_MEMORY_BYTES", "0")))
    generation = int(environment.get("FLOW_GENERATION", "0"))
    try:
        flow = build(Settings.load(environment), generation, pace, stop, progress, shares)
        rest_collector()
        cluster_main(  # type: ignore[no-untyped-call]  # the engine ships no types
            flow,
            addresses,
            int(environment.get("FLOW_PROCESS", "0")),
            epoch_interval=timedelta(seconds=EPOCH_SECONDS),
        )
    except BaseException as error:
        return _meaning(error, stop)
    return 0


def _meaning(error: BaseException, stop: Stop) -> int:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, Fenced):
            log.error("stopped: %s", cause)
            return EXIT_FENCED
        if isinstance(cause, Refused | UnusableDatabase | InvalidSettings):
            log.error("stopped: %s", cause)
            return EXIT_REFUSED
        if isinstance(cause, Unavailable):
            log.log(logging.INFO if stop.asked() else logging.ERROR, "stopped while waiting: %s", cause)
            return 0 if stop.asked() else EXIT_AWAY
    if stop.asked() and any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return 0
    raise error


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Threads of the engine may still hold on to a consumer; everything that matters is written.
    sys.stdout.flush()
    os._exit(code)
