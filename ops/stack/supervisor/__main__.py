"""`python -m ops.stack.supervisor`: starts the parts, watches them, starts them again, and takes them along at its end.

The first line of stdin is the job as JSON. Until a second line says `detach`, the end of stdin means that whoever
started the supervisor is gone, and it stops everything. SIGTERM and SIGINT stop everything in order.
"""

import logging
import os
import sys
from typing import Final

from ops.stack.supervisor.job import Job
from ops.stack.supervisor.loop import Supervisor
from runtime.logs import LogSettings, configure_logs
from runtime.settings import load

_MOST_LINES_OF_A_KIND: Final = 30
"""In a minute; a start of everything has ten or so."""


def main() -> int:
    """Read the job and run it."""
    # Salts, keys and the URLs of other parts are in these files: they are for this user only.
    os.umask(0o077)
    configure_logs(load(os.environ, LogSettings.read), lines_of_a_kind=_MOST_LINES_OF_A_KIND)
    # A log that cannot be written because the disk is full must not fill itself with that.
    logging.raiseExceptions = False
    return Supervisor(Job.read(sys.stdin.fileno())).run()


if __name__ == "__main__":
    code = main()
    # A health check may hang in a client for seconds; the parts are down, so nobody waits for it.
    try:
        sys.stderr.flush()
    finally:
        os._exit(code)
