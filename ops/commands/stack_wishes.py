"""What cannot be changed while a stack runs: whoever asks for it is refused, with all of it named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.stack import Part, StackError, settings
from ops.stack.components import url_variable
from ops.stack.health.silence import HANG_VARIABLE
from ops.stack.registry import Registry
from ops.stack.selection import Selection
from ops.stack.state.model import StackState


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for; None where nothing was said."""

    brokers: int | None
    ports: Mapping[Part, int]
    selection: Selection
    services: bool | None
    foreground: bool


def refuse_wishes(
    registry: Registry, state: StackState, asked: Asked, parts: Sequence[Part], environment: Mapping[str, str]
) -> None:
    """Compare what is asked for with what runs.

    Args:
        registry: What parts and services there are.
        state: What runs.
        asked: What was asked for.
        parts: What its selection comes to.
        environment: The variables.

    Raises:
        StackError: the stack runs otherwise; names every difference.
        InvalidSettings: the environment has a value that cannot be used.
    """
    wishes = [*_selected(registry, state, asked, parts), *_options(registry, state, asked, parts)]
    wishes += _variables(registry, state, environment)
    if wishes:
        differences = ", ".join(wishes)
        raise StackError(f"the stack is running already, but not as asked: {differences}: 'marketplace down' first")


def _selected(registry: Registry, state: StackState, asked: Asked, parts: Sequence[Part]) -> list[str]:
    """A selection that was asked for has to be what runs; where none was, whatever runs is shown."""
    running = [name for name in registry.startable if state.process(name) is not None]
    if asked.selection.only or asked.selection.without:
        return [] if set(running) == set(parts) else [f"{asked.selection} (it runs {', '.join(running)})"]
    services = [service.name for service in registry.services if service.name in running]
    if asked.services is False and services:
        return [f"--no-services (it has {', '.join(services)})"]
    if asked.services and not set(parts) <= set(running):
        return [f"--services (it has {', '.join(services) or 'none'})"]
    return []


def _options(registry: Registry, state: StackState, asked: Asked, parts: Sequence[Part]) -> list[str]:
    wishes = []
    if asked.brokers is not None and asked.brokers != state.brokers:
        wishes.append(f"--brokers {asked.brokers} (it has {state.brokers})")
    # The environment may say ports of what was not asked for.
    for part, port in ((part, port) for part, port in asked.ports.items() if part in parts):
        process = state.process(part)
        actual = None if process is None else state.ports.get(process.name)
        if port != actual:
            wishes.append(f"{registry[part].port_option} {port} (it is {'not ours' if actual is None else actual})")
    if asked.foreground:
        wishes.append("--foreground (it does not end with this command)")
    return wishes


def _variables(registry: Registry, state: StackState, environment: Mapping[str, str]) -> list[str]:
    wishes = []
    for part, url in settings.external_urls(environment, registry).items():
        if state.urls.of(part) not in ("", url):
            # The URLs are not repeated: there may be passwords in them.
            wishes.append(f"{url_variable(part)} (it uses another {part})")
    if environment.get(HANG_VARIABLE, "").strip() and state.hang_seconds:
        seconds = settings.hang_seconds(environment)
        if seconds != state.hang_seconds:
            wishes.append(f"{HANG_VARIABLE}={seconds:g} (it is {state.hang_seconds:g})")
    return wishes
