"""``python -m dashboards``: serve the dashboard.

``MARKETPLACE_DASHBOARD_*`` say where; host names that are neither local ones nor among ``MARKETPLACE_DASHBOARD_NAMES``
are refused, so that no page of another site can read the numbers.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.middleware import Middleware

from dashboards.web import loading_page as front
from dashboards.web.gate import Gate
from runtime.logs import LogSettings, configure_logs
from runtime.sections import DASHBOARD_HOST, DASHBOARD_NAMES, DASHBOARD_PORT, Settings
from runtime.settings import EnvReader, InvalidSettings, load

_GOODBYE_SECONDS: Final = 3
_BACKLOG: Final = 1_024
_LIGHT: Final = {
    "primaryColor": "#4f46e5",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f5f6fa",
    "textColor": "#1c2030",
    "borderColor": "#e3e6ee",
    "linkColor": "#4f46e5",
}
_DARK: Final = {
    "primaryColor": "#818cf8",
    "backgroundColor": "#0f1117",
    "secondaryBackgroundColor": "#191c26",
    "textColor": "#e6e8f0",
    "borderColor": "#2a2e3b",
    "linkColor": "#a5b4fc",
}


@dataclass(frozen=True)
class Address:
    """Where the dashboard listens, and the host names under which a proxy makes it reachable."""

    host: str
    port: int
    names: tuple[str, ...]

    @staticmethod
    def read(env: EnvReader) -> Address:
        """Read the dashboard's section."""
        names = (name.strip() for name in env.read(DASHBOARD_NAMES).split(","))
        return Address(env.read(DASHBOARD_HOST), env.read(DASHBOARD_PORT), tuple(filter(None, names)))


def read(env: EnvReader) -> tuple[LogSettings, Address]:
    """Read all that a dashboard needs; where its parts are is read again when they are first asked."""
    Settings.read(env)
    return LogSettings.read(env), Address.read(env)


def options(host: str, port: int) -> dict[str, Any]:
    """Streamlit's settings."""
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.enableStaticServing": True,
        "server.runOnSave": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        # A full collection after each run of the script: a tenth of a second in which all viewers wait.
        "runner.postScriptGC": False,
        # Texts that stand alone in a file are documentation, not something to draw.
        "runner.magicEnabled": False,
        "theme.baseRadius": "0.6rem",
        "theme.showWidgetBorder": True,
        "theme.metricValueFontSize": "1.5rem",
        **{f"theme.light.{name}": color for name, color in _LIGHT.items()},
        **{f"theme.dark.{name}": color for name, color in _DARK.items()},
    }


def listen(host: str, port: int) -> socket.socket:
    """A socket whose small messages leave at once.

    asyncio sets that for sockets which name their protocol; those that the servers above it make do not, so each answer
    in two parts, and each burst of messages to a viewer, waits 40 ms for an acknowledgement.

    Raises:
        OSError: The address is taken, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    _, kind, protocol, _, where = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(where)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def serve(listening: socket.socket, names: Collection[str]) -> None:
    """Serve until a signal."""
    import streamlit as st

    # The charts' library takes a second to import, which the first viewer should not wait for; nor for the first page.
    import_module("dashboards.ui.panels")
    front.prepare()
    app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(Gate, names), Middleware(front.Front)])
    # What is there now stays; the collector needs not look at it again and again.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        use_colors=False,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    # The server raises the signal that it was stopped by once more.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def main() -> None:
    """Serve until a signal."""
    try:
        logs, address = load(os.environ, read)
    except InvalidSettings as error:
        sys.stderr.write(f"dashboard: {error}\n")
        sys.exit(2)
    configure_logs(logs, without_addresses=True)
    try:
        listening = listen(address.host, address.port)
    except OSError as error:
        sys.stderr.write(f"dashboard: cannot listen on {address.host}:{address.port}: {error.strerror}\n")
        sys.exit(1)
    from streamlit.web import bootstrap

    # The names of options have dots; the loader's are those of command line flags.
    bootstrap.load_config_options(
        {name.replace(".", "_"): value for name, value in options(address.host, address.port).items()}
    )
    with listening:
        serve(listening, address.names)


if __name__ == "__main__":
    main()
