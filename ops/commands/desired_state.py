"""The state that `up` is asked for, and what of it a running stack cannot be changed to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.stack import Part, StackError, settings
from ops.stack.components import url_variable
from ops.stack.health.silence import HANG_VARIABLE
from ops.stack.registry import Registry
from ops.stack.selection import Selection
from ops.stack.state.model import StackState


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What `up` was asked for; None where nothing was said."""

    brokers: int | None
    ports: Mapping[Part, int]
    selection: Selection
    services: bool | None
    foreground: bool


def refuse_changes(
    registry: Registry, state: StackState, desired: DesiredState, parts: Sequence[Part], environment: Mapping[str, str]
) -> None:
    """Compare what is asked for with what runs.

    Args:
        registry: What parts and services there are.
        state: What runs.
        desired: What was asked for.
        parts: What its selection comes to.
        environment: The variables.

    Raises:
        StackError: the stack runs otherwise; names every difference.
        InvalidSettings: the environment has a value that cannot be used.
    """
    differences = [*_selected(registry, state, desired, parts), *_options(registry, state, desired, parts)]
    differences += _variables(registry, state, environment)
    if differences:
        raise StackError(
            f"the stack is running already, but not as asked: {', '.join(differences)}: 'marketplace down' first"
        )


def _selected(registry: Registry, state: StackState, desired: DesiredState, parts: Sequence[Part]) -> list[str]:
    """A selection that was asked for has to be what runs; where none was, whatever runs is shown."""
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
    # The environment may say ports of what was not asked for.
    for part, port in ((part, port) for part, port in desired.ports.items() if part in parts):
        process = state.process(part)
        actual = None if process is None else state.ports.get(process.name)
        if port != actual:
            differences.append(
                f"{registry[part].port_option} {port} (it is {'not ours' if actual is None else actual})"
            )
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
