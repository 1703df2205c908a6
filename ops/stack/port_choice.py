"""Which ports the parts and services get: asked for, remembered from the last time, the usual, or free ones."""

from collections.abc import Mapping, Sequence
from typing import Literal

from ops.stack.components import Component
from ops.stack.errors import StackError
from ops.stack.ports import PortSpec, is_free, owner
from ops.stack.state.model import Part
from runtime.ports import free_ports

Ports = Literal["default", "auto"] | Mapping[Part, int]


def choose_ports(
    components: Sequence[Component], asked: Ports, brokers: int, remembered: Mapping[str, int]
) -> dict[str, int]:
    """A port for every name of the components' ports.

    A port asked for is taken as it is; one nobody asked for is that of the last time, else the usual one. `auto`, and
    ports that no client knows, give way when somebody else has them by now.
    """
    wanted = [(component.name, port) for component in components for port in component.ports(brokers)]
    fallback = dict(zip((port.name for _, port in wanted), free_ports(len(wanted)), strict=True))
    exact: Mapping[Part, int] = asked if isinstance(asked, Mapping) else {}
    chosen: dict[str, int] = {}
    for component, port in wanted:
        last = remembered.get(port.name)
        if port.gives_way or asked == "auto":
            usual = None if asked == "auto" else _usual(port, chosen)
            number = usual if last is None else last
            chosen[port.name] = number if number is not None and is_free(number) else fallback[port.name]
        elif component in exact:
            chosen[port.name] = exact[component] + (port.distance if port.after else 0)
        else:
            number = _usual(port, chosen) if last is None else last
            chosen[port.name] = fallback[port.name] if number is None else number
    return chosen


def _usual(port: PortSpec, chosen: Mapping[str, int]) -> int | None:
    return chosen[port.after] + port.distance if port.after else port.default


def check_free(components: Sequence[Component], brokers: int, ports: Mapping[str, int]) -> None:
    """Make sure that everything can listen.

    Args:
        components: What is to listen.
        brokers: Kafka's.
        ports: What `choose_ports` chose.

    Raises:
        StackError: a port is taken; it names the part or service, the port, its owner and the way out.
    """
    seen: dict[int, str] = {}
    for component in components:
        for name in (port.name for port in component.ports(brokers)):
            port = ports[name]
            option = component.port_option
            if port in seen:
                raise StackError(
                    f"{name} and {seen[port]} cannot both listen on port {port}: choose another with {option}"
                )
            seen[port] = name
            if not is_free(port):
                who = owner(port)
                raise StackError(
                    f"{component.title} cannot listen on port {port}: it is taken{f' by {who}' if who else ''}. "
                    f"Choose another with {option} or {component.port_variable}, or free ones with --ports auto"
                )
