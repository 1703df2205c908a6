"""How a process of ours is started and asked how it is, wherever it runs: containers, units and people say the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from connectors.mongo.client import url_problem
from ops.stack.components import Component, ServiceSpec
from ops.stack.errors import StackError
from ops.stack.health.checks import Health, check
from ops.stack.ports import HOST
from ops.stack.registry import REGISTRY, Registry
from runtime.sections import URLS, read_security
from runtime.settings import HIGHEST_PORT, PREFIX, EnvReader, InvalidSettings, Section, load, unknown_names

PROCESS: Final = Section("One process", "For `marketplace run` and `marketplace health`, as containers start and ask.")
SERVICE: Final = PROCESS.text(
    "MARKETPLACE_SERVICE", "The service to run or to ask, where the command is given no name."
)
_PAGES: Final = frozenset({"service", "page"})
"""Protocols of processes that say by HTTP how they are."""


@dataclass(frozen=True, slots=True)
class Process:
    """What replaces this process: an argument list that begins with a program, and its whole environment."""

    command: list[str]
    environment: dict[str, str]


def process_of(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], registry: Registry = REGISTRY
) -> Process:
    """The process of a service of ours.

    Args:
        name: Of the service.
        arguments: What follows those that it always has, such as the names of some consumers.
        environment: Its settings; a port that they do not say is the usual one.
        registry: All services.

    Raises:
        StackError: No module of ours is the service of that name.
        InvalidSettings: It would refuse its settings.
    """
    if name not in registry:
        runnable = [each.name for each in registry.services if not each.on_request]
        raise StackError(f"there is no {name}: choose from {', '.join(runnable)}")
    service = registry.service(name)
    if service.module not in _modules(registry):
        raise StackError(f"{name} is {service.module}, and no process of ours: start it by its own command")
    given = {**environment, **service.environment}
    listen = service.listen_variable or service.port_variable
    if not given.get(listen, "").strip() and service.default_port is not None:
        given[listen] = str(service.default_port)
    _check(service, given)
    return Process([sys.executable, "-m", service.module, *service.arguments, *arguments], given)


def _check(service: ServiceSpec, given: Mapping[str, str]) -> None:
    """Refuse all that the process would refuse, at once.

    Raises:
        InvalidSettings: The message names the variables.
    """

    def read(env: EnvReader) -> None:
        for part in service.asks:
            url = env.require(URLS[part], "", "")
            problem = url_problem(url) if part == "mongo" and url else ""
            if problem:
                env.reject(f"{URLS[part].name}: {problem}")
        if "kafka" in service.asks:
            read_security(env)

    problems: dict[str, None] = {}
    for checked in (service.check_settings, lambda environment: load(environment, read)):
        try:
            checked(given)
        except InvalidSettings as error:
            problems |= dict.fromkeys(str(error).split("; "))
    if problems:
        raise InvalidSettings("; ".join(problems))


def unread(environment: Mapping[str, str]) -> list[str]:
    """What is to be said of variables that begin like ours and that nothing reads: a typing error, or an old name."""
    if not any(name.startswith(PREFIX) for name in environment):
        return []
    # Every declaration there is: it takes longer to import than most commands take.
    from ops.reference.settings import SECTIONS

    return unknown_names(environment, SECTIONS)


def health_of(
    name: str, environment: Mapping[str, str], timeout_seconds: float, url: str = "", registry: Registry = REGISTRY
) -> Health:
    """How a process of ours is, asked on its own machine.

    Args:
        name: Of the service, or of the sandbox provider.
        environment: The settings that it was started with.
        timeout_seconds: How long it may take to answer.
        url: Where it is asked; by default where its settings say.
        registry: All services.

    Raises:
        StackError: It cannot be asked by HTTP, or its settings do not say at which port.
    """
    component = registry[name]
    if component.check.protocol not in _PAGES:
        raise StackError(f"{name} is no process of ours")
    return check(component.check, url or f"http://{HOST}:{health_port(component, environment)}", timeout_seconds)


def health_port(component: Component, environment: Mapping[str, str]) -> int:
    """The port at which a component says how it is, as its settings say.

    Raises:
        StackError: They do not say: it takes a free one.
        InvalidSettings: This is no port.
    """
    if isinstance(component, ServiceSpec):
        listen = component.listen_variable or component.port_variable
        public = _port(environment, listen, component.default_port)
        variable = component.admin_port_variable
        port = _port(environment, variable, public + 1 if public else 0) if variable else public
    else:
        port = _port(environment, component.port_variable, component.default_port)
    if not port:
        raise StackError(f"{component.name} listens on a free port: give its --url")
    return port


def _port(environment: Mapping[str, str], variable: str, otherwise: int | None) -> int:
    text = environment.get(variable, "").strip()
    if not text:
        return otherwise or 0
    if not (text.isascii() and text.isdecimal() and int(text) <= HIGHEST_PORT):
        raise InvalidSettings(f"{variable}={text[:80]}: not a port: give 0 to {HIGHEST_PORT}")
    return int(text)


def _modules(registry: Registry) -> frozenset[str]:
    """Modules of ours; the proxy runs a program instead."""
    return frozenset(each.module for each in registry.services if not each.on_request)
