"""What the environment says about the embedded stack; an empty value is none."""

from collections.abc import Mapping
from typing import Final

from ops.stack.disk.space import LOW_DISK_MB, LOW_DISK_VARIABLE
from ops.stack.health.silence import HANG_SECONDS, HANG_VARIABLE
from ops.stack.registry import REGISTRY, Registry
from ops.stack.state.model import Part
from runtime.sections import URLS
from runtime.settings import EnvReader, Section, Variable, load

STACK: Final = Section("Embedded stack", "For `marketplace up` and its supervisor; docs/reference/stack.md says more.")
HANG: Final = STACK.seconds(
    HANG_VARIABLE, "A process that does not answer for so long is started again.", HANG_SECONDS, lowest=1
)
LOW_DISK: Final = STACK.whole(
    LOW_DISK_VARIABLE, "Less free disk than so many MB is low; 0 for never.", LOW_DISK_MB, highest=1 << 30
)
KAFKA_OPTS: Final = STACK.text("MARKETPLACE_KAFKA_OPTS", "Further options of Java for the embedded Kafka.")
CONNECT_OPTS: Final = STACK.text("MARKETPLACE_CONNECT_OPTS", "Further options of Java for the embedded Kafka Connect.")
PORTS: Final[Mapping[Part, Variable[int]]] = {
    part.name: STACK.port(part.port_variable, f"The port of {part.title}.", part.default_port, lowest=1)
    for part in REGISTRY.parts
    if part.default_port is not None
}


def external_urls(environment: Mapping[str, str], registry: Registry = REGISTRY) -> dict[Part, str]:
    """The parts that run elsewhere, and where.

    Raises:
        InvalidSettings: URLs cannot be one of their part; names the variables.
    """

    def read(env: EnvReader) -> dict[Part, str]:
        variables = {part.name: URLS[part.name] for part in registry.parts}
        return {part: env.read(variable) for part, variable in variables.items() if env.given(variable)}

    return load(environment, read)


def hang_seconds(environment: Mapping[str, str]) -> float:
    """After how long without an answer a process is started again.

    Raises:
        InvalidSettings: it is no number of seconds.
    """
    return load(environment, lambda env: env.read(HANG))


def low_disk_mb(environment: Mapping[str, str]) -> int:
    """Less free disk than so many MB is low.

    Raises:
        InvalidSettings: it is no number.
    """
    return load(environment, lambda env: env.read(LOW_DISK))
