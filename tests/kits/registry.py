"""Registries of known entries: some of the real one, and two services more, which run one module."""

from __future__ import annotations

from ops.stack.components import ServiceSpec
from ops.stack.registry import REGISTRY, Registry


def echo(name: str, port: int) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        title=f"echo of {name}",
        module="tests.kits.echo_service",
        arguments=(name,),
        default_port=port,
        listen_variable="ECHO_PORT",
        needs=("redis",),
    )


KNOWN = Registry(
    REGISTRY.chosen({"kafka", "mongo", "clickhouse", "redis", "flow", "collector", "dashboard", "traffic"})
)
"""What the real registry had at first, so that an entry more changes no test."""
WITH_ECHOES = Registry((*KNOWN, echo("echo", 18901), echo("second_echo", 18902)))
CLI_WITH_ECHOES = (
    "import typer; from ops.commands.stack import register; from tests.kits.registry import WITH_ECHOES; "
    "app = typer.Typer(); register(app, WITH_ECHOES); app()"
)
