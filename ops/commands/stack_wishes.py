"""What cannot be changed while a stack runs: whoever asks for it is refused, with all of it named."""

from collections.abc import Mapping
from dataclasses import dataclass

from ops.stack import Part, StackError, settings
from ops.stack.model import SERVICES, StackState
from ops.stack.silence import HANG_VARIABLE


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for; None where nothing was said."""

    brokers: int | None
    ports: Mapping[Part, int]
    services: bool | None
    foreground: bool


def refuse_wishes(state: StackState, asked: Asked, environment: Mapping[str, str]) -> None:
    """Compare what is asked for with what runs.

    Raises:
        StackError: the stack runs otherwise; names every difference.
        InvalidSettings: the environment has a value that cannot be used.
    """
    wishes = [*_options(state, asked), *_variables(state, environment)]
    if wishes:
        raise StackError(f"the stack is running already, without {', '.join(wishes)}: 'marketplace down' first")


def _options(state: StackState, asked: Asked) -> list[str]:
    wishes = []
    if asked.brokers is not None and asked.brokers != state.brokers:
        wishes.append(f"--brokers {asked.brokers} (it has {state.brokers})")
    for part, port in asked.ports.items():
        process = state.process(part)
        actual = None if process is None else state.ports.get(process.name)
        if port != actual:
            wishes.append(f"--{part}-port {port} (it is {'not ours' if actual is None else actual})")
    running = [service for service in SERVICES if state.process(service) is not None]
    if asked.services is False and running:
        wishes.append(f"--no-services (it has {', '.join(running)})")
    if asked.services and len(running) < len(SERVICES):
        wishes.append(f"--services (it has {', '.join(running) or 'none'})")
    if asked.foreground:
        wishes.append("--foreground (it does not end with this command)")
    return wishes


def _variables(state: StackState, environment: Mapping[str, str]) -> list[str]:
    wishes = []
    for part, url in settings.external_urls(environment).items():
        if state.urls.of(part) not in ("", url):
            # The URLs are not repeated: there may be passwords in them.
            wishes.append(f"MARKETPLACE_{part.upper()}_URL (it uses another {part})")
    if environment.get(HANG_VARIABLE, "").strip() and state.hang_seconds:
        seconds = settings.hang_seconds(environment)
        if seconds != state.hang_seconds:
            wishes.append(f"{HANG_VARIABLE}={seconds:g} (it is {state.hang_seconds:g})")
    return wishes
