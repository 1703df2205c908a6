"""Makes what the services of a stack find in its parts, as soon as those are healthy."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connectors.errors import Refused, Unavailable
from ops.resources import Resources
from ops.stack.errors import StackError
from ops.stack.state.model import StackState
from runtime.sections import Settings
from runtime.settings import with_values

_ANSWER_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.5


class Provisioning:
    """Once for a start; what is there already is left as it is.

    Args:
        resources: What to make.
        data_dir: The stack's data folder.
        variables: Settings of the services that are not in the environment.

    Attributes:
        done: Nothing is left to make.
        problem: Why the latest try made nothing.

    Raises:
        InvalidSettings: The environment has a value that cannot be used.
    """

    def __init__(self, resources: Resources, data_dir: Path, variables: Mapping[str, str]) -> None:
        self._resources = resources
        self._variables = with_values(os.environ, {**variables, "MARKETPLACE_DATA": str(data_dir)})
        self._next_try = float("-inf")
        self.done = not resources.parts
        self.problem = ""
        if not self.done:
            # A value that cannot be used is refused before anything is started.
            Settings.load(self._variables, needs=())

    def follow(self, state: StackState) -> list[str]:
        """Make everything if it is time. Returns what differs from its declaration, a line each.

        Raises:
            StackError: A part does not take a declaration.
        """
        if self.done or time.monotonic() < self._next_try or not self._is_ready(state):
            return []
        # The clients of all parts take a second to import, which a start without services should not wait for.
        from ops.provision import ensure_provisioned

        try:
            settings = Settings.load(
                with_values(self._variables, state.urls.environment()), needs=self._resources.parts
            )
            report = ensure_provisioned(settings, _ANSWER_SECONDS, self._resources)
        except Unavailable as error:
            self.problem = str(error)
            self._next_try = time.monotonic() + _PAUSE_SECONDS
            return []
        except Refused as error:
            raise StackError(str(error)) from error
        self.done = True
        return [f"drift: {line}" for line in report.drift]

    def _is_ready(self, state: StackState) -> bool:
        parts = [info for info in state.processes if info.part in self._resources.parts]
        return all(info.healthy for info in parts) and {info.part for info in parts} >= set(self._resources.parts)
