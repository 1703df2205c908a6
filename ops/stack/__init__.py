"""The embedded stack: Kafka, MongoDB, ClickHouse and Redis as child processes, without Docker."""

from ops.stack.errors import StackError
from ops.stack.stack import AlreadyRunningError, Stack
from ops.stack.state.inspection import SupervisorHangsError, running_state, running_urls
from ops.stack.state.model import Part

__all__ = [
    "AlreadyRunningError",
    "Part",
    "Stack",
    "StackError",
    "SupervisorHangsError",
    "running_state",
    "running_urls",
]
