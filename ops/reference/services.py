"""``python -m ops.reference.services``: writes docs/reference/services.md from the registry; a test checks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ops.resources import Resources
from ops.stack.components import Component, ServiceSpec
from ops.stack.registry import REGISTRY, Registry

TARGET = Path(__file__).resolve().parents[2] / "docs" / "reference" / "services.md"
_HEAD = """# Parts and services

Written by `make reference` from `ops/stack/registry.py`, where a new service needs one entry: commands, ports, health
checks, the order of stopping and provisioning follow from it. *Parts* are servers that the product uses; *services* are
its own processes. `marketplace up --only NAME` runs one with what it needs, `--without NAME` leaves one out; a part
whose URL is in the environment is not started. Processes start together, and each waits for what it needs; they stop by
rank, the lowest first.
"""


def reference(registry: Registry = REGISTRY) -> str:
    """The page as Markdown."""
    return _HEAD + "".join((*_parts(registry), *_services(registry), *_resources(registry)))


def _parts(registry: Registry) -> Iterator[str]:
    yield "\n## Parts\n\n| name | what | port | elsewhere | stops | memory |\n|---|---|---|---|---|---|\n"
    for part in registry.parts:
        yield _row(part, _code(part.url_variable))


def _services(registry: Registry) -> Iterator[str]:
    yield "\n## Services\n\n| name | what | port | needs | stops | memory |\n|---|---|---|---|---|---|\n"
    for service in registry.services:
        yield _row(service, ", ".join(service.needs))


def _row(component: Component, fourth: str) -> str:
    port = (
        "a free one"
        if component.default_port is None
        else f"{component.default_port} ({_code(component.port_variable)})"
    )
    if isinstance(component, ServiceSpec) and component.admin_port_variable:
        port += f", then {_code(component.admin_port_variable)}"
    title = f"{component.title}; not started by `up`" if component.on_demand else component.title
    title = f"{title}; started by `up {component.request_option}`" if component.on_request else title
    cells = (component.name, title, port, fourth, str(int(component.stop_rank)), component.memory)
    return f"| {' | '.join(cells)} |\n"


def _resources(registry: Registry) -> Iterator[str]:
    yield "\n## What each service needs in the parts\n\n"
    yield "`up` and `marketplace provision --only NAME` create it where it is missing.\n\n"
    yield "| service | topics | tables | collections | connectors |\n|---|---|---|---|---|\n"
    for service in registry.services:
        if service.resources.parts:
            yield f"| {service.name} | {' | '.join(_declared(service.resources))} |\n"


def _declared(resources: Resources) -> Iterator[str]:
    for declared in (resources.topics, resources.tables, resources.collections, resources.connectors):
        yield ", ".join(_code(each.name) for each in declared)


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    TARGET.write_text(reference())
