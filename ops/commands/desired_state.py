"""The state that `up` asks for, and the differences that a running stack cannot be changed to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ops.stack import Part, StackError, settings
from ops.stack.components import url_variable
from ops.stack.health.silence import HANG_VARIABLE
from ops.stack.registry import Registry
from ops.stack.selection import Selection
from ops.stack.state.model import StackState


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The options of `up`; None where an option was not given.

    Attributes:
        choices: of what is started on request only; a name is missing where its option was not given.
    """

    brokers: int | None
    ports: Mapping[Part, int]
    selection: Selection
    services: bool | None
    foreground: bool
    choices: Mapping[Part, bool] = field(default_factory=dict)

    def requested(self, remembered: Collection[Part]) -> frozenset[Part]:
        """What is asked for by its own option, now or the last time."""
        chosen = {name for name, wanted in self.choices.items() if wanted}
        return frozenset({*remembered, *chosen} - {name for name, wanted in self.choices.items() if not wanted})


def refuse_changes(
    registry: Registry, state: StackState, desired: DesiredState, parts: Sequence[Part], environment: Mapping[str, str]
) -> None:
    """Compare the desired state with a running stack.

    Args:
        registry: All parts and services.
        state: The running stack.
        desired: The options of `up`.
        parts: The parts and services that the options select.
        environment: The environment's variables.

    Raises:
        StackError: The stack differs from the desired state; the message names every difference.
        InvalidSettings: The environment has a value that cannot be used.
    """
    differences = [*_selected(registry, state, desired, parts), *_options(registry, state, desired, parts)]
    differences += _variables(registry, state, environment)
    if differences:
        raise StackError(
            f"the stack is running already, but not as asked: {', '.join(differences)}: 'marketplace down' first"
        )


def _selected(registry: Registry, state: StackState, desired: DesiredState, parts: Sequence[Part]) -> list[str]:
    """Differences of the selection; without one, whatever runs is right."""
    running = [name for name in registry.startable if state.process(name) is not None]
    if desired.selection.only or desired.selection.without:
        return [] if set(running) == set(parts) else [f"{desired.selection} (it runs {', '.join(running)})"]
    services = [service.name for service in registry.services if service.name in running]
    if desired.services is False and services:
        return [f"--no-services (it has {', '.join(services)})"]
    if desired.services and not set(parts) <= set(running):
        return [f"--services (it has {', '.join(services) or 'none'})"]
    return []


def _options(registry: Registry, state: StackState, desired: DesiredState, parts: Sequence[Part]) -> list[str]:
    differences = []
    if desired.brokers is not None and desired.brokers != state.brokers:
        differences.append(f"--brokers {desired.brokers} (it has {state.brokers})")
    # The environment may set ports of parts that are not selected.
    for part, port in ((part, port) for part, port in desired.ports.items() if part in parts):
        process = state.process(part)
        actual = None if process is None else state.ports.get(process.name)
        if port != actual:
            differences.append(
                f"{registry[part].port_option} {port} (it is {'not ours' if actual is None else actual})"
            )
    for part, wanted in desired.choices.items():
        running = state.process(part) is not None
        if wanted and not running:
            differences.append(f"{registry[part].request_option} (it runs without)")
        elif running and not wanted:
            differences.append(f"{registry[part].refusal_option} (it runs with it)")
    if desired.foreground:
        differences.append("--foreground (it does not end with this command)")
    return differences


def _variables(registry: Registry, state: StackState, environment: Mapping[str, str]) -> list[str]:
    differences = []
    for part, url in settings.external_urls(environment, registry).items():
        if state.urls.of(part) not in ("", url):
            # The URLs are not repeated: there may be passwords in them.
            differences.append(f"{url_variable(part)} (it uses another {part})")
    if environment.get(HANG_VARIABLE, "").strip() and state.hang_seconds:
        seconds = settings.hang_seconds(environment)
        if seconds != state.hang_seconds:
            differences.append(f"{HANG_VARIABLE}={seconds:g} (it is {state.hang_seconds:g})")
    return differences
