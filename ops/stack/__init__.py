"""The embedded stack: Kafka, MongoDB, ClickHouse and Redis as child processes, without Docker."""

from ops.stack.errors import StackError
from ops.stack.model import Part, Urls
from ops.stack.stack import AlreadyRunningError, Stack, running_state, running_urls

__all__ = ["AlreadyRunningError", "Part", "Stack", "StackError", "Urls", "running_state", "running_urls"]
