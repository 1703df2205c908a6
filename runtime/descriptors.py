"""How many files and connections a process may have open."""

from __future__ import annotations

import logging
import resource

_log = logging.getLogger(__name__)


def allow_descriptors(count: int) -> None:
    """Raise the process's own limit to a number of descriptors, as far as the system allows.

    Many systems begin with 1,024. At the limit connections are taken by nobody: whoever connects waits without an
    answer, and nothing says that the service is full.

    Args:
        count: How many there have to be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < count:
        _log.warning("the system allows %d open files and connections; %d may be needed (ulimit -n)", allowed, count)
