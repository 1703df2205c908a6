"""The registry with two services more, which run one module with different arguments."""

from __future__ import annotations

from ops.stack.components import ServiceSpec
from ops.stack.registry import REGISTRY, Registry


def echo(name: str, port: int) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        title=f"echo of {name}",
        module="tests.echo_service",
        arguments=(name,),
        default_port=port,
        listen_variable="ECHO_PORT",
        needs=("redis",),
    )


WITH_ECHOES = Registry((*REGISTRY, echo("echo", 18901), echo("second_echo", 18902)))
CLI_WITH_ECHOES = (
    "import typer; from ops.commands.stack import register; from tests.registry_kit import WITH_ECHOES; "
    "app = typer.Typer(); register(app, WITH_ECHOES); app()"
)
