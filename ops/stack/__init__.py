"""The embedded stack: Kafka, MongoDB, ClickHouse and Redis as child processes, without Docker."""

from ops.stack.errors import StackError
from ops.stack.looking import SupervisorHangsError, running_state, running_urls
from ops.stack.model import Part, Urls
from ops.stack.stack import AlreadyRunningError, Stack

__all__ = [
    "AlreadyRunningError",
    "Part",
    "Stack",
    "StackError",
    "SupervisorHangsError",
    "Urls",
    "running_state",
    "running_urls",
]
