"""Another chance for processes that no time, or only a long one, would start again."""

from ops.stack.stack import GIVEN_UP, Stack


def revive(stack: Stack) -> list[str]:
    """Start whatever crashed, was fenced or refused, and wait until it is healthy; returns what it was.

    Raises:
        StackError: one of them does not become healthy.
    """
    given_up = [info for info in stack.state().processes if info.state in GIVEN_UP]
    for info in given_up:
        stack.restart(info.name)
    for info in given_up:
        stack.wait_healthy(info.name)
    return [f"{info.name} was {info.state}" for info in given_up]
