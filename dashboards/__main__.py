"""``python -m dashboards``: serve the dashboard.

``MARKETPLACE_DASHBOARD_*`` set the address. Requests under host names that are neither local nor listed in
``MARKETPLACE_DASHBOARD_NAMES`` are refused, so that pages of other sites cannot read the numbers.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from connectors.errors import Refused
from dashboards.data.store_api import api_url
from dashboards.data.viewers import Viewers
from dashboards.web import loading_page
from dashboards.web.gate import Gate
from dashboards.web.identity_api import IdentityApi
from dashboards.web.sign_in import SignIn
from dashboards.web.unknown import UnknownPages
from marketplace.settings import ALL_PARTS
from runtime.descriptors import allow_descriptors
from runtime.garbage import loading
from runtime.http.connections import Connections
from runtime.http.protocol import bounded_protocol
from runtime.logs import LogSettings, configure_logs
from runtime.reachable import warn_of_unreachable
from runtime.sections import DASHBOARD_HOST, DASHBOARD_NAMES, DASHBOARD_PORT, Settings
from runtime.settings import EnvReader, InvalidSettings, load

_log = logging.getLogger("dashboards")

_SHUTDOWN_SECONDS: Final = 3
_BACKLOG: Final = 1_024
_OTHER_DESCRIPTORS: Final = 500
"""Of websockets, clients of parts, files and threads."""

_HEAD_SECONDS: Final = 30.0
_MAX_CONNECTIONS: Final = 2_000
"""Beside websockets: for a further one the oldest that waits for a request is closed."""

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
    """Where the dashboard listens, the host names under which a proxy makes it reachable, and where the API is."""

    host: str
    port: int
    names: tuple[str, ...]
    api_url: str

    @staticmethod
    def read(env: EnvReader) -> Address:
        """Read the dashboard's section."""
        names = (name.strip() for name in env.read(DASHBOARD_NAMES).split(","))
        return Address(env.read(DASHBOARD_HOST), env.read(DASHBOARD_PORT), tuple(filter(None, names)), api_url(env))


def read(env: EnvReader) -> tuple[LogSettings, Address, Settings]:
    """Read and check all settings of a dashboard; the backend reads the URLs again when it connects."""
    settings = Settings.read(env)
    return LogSettings.read(env), Address.read(env), settings


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
        # The choice of light and dark, and nothing that is about Streamlit.
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        # This would run a full garbage collection after each run of the script: all viewers would wait 0.1 s.
        "runner.postScriptGC": False,
        # A string literal on a line of its own is documentation, not something to draw.
        "runner.magicEnabled": False,
        "theme.baseRadius": "0.6rem",
        "theme.showWidgetBorder": True,
        "theme.metricValueFontSize": "1.5rem",
        **{f"theme.light.{name}": color for name, color in _LIGHT.items()},
        **{f"theme.dark.{name}": color for name, color in _DARK.items()},
    }


def listen(host: str, port: int) -> socket.socket:
    """A listening socket with TCP_NODELAY.

    asyncio sets it only on sockets that were created with a protocol number, and uvicorn's are not: each response in
    two packets, and each burst of messages to a viewer, would wait 40 ms for an acknowledgement.

    Raises:
        OSError: The address is taken, or is not an address of this machine.
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


def serve(listening: socket.socket, address: Address, viewers: Viewers) -> None:
    """Serve until a signal.

    Args:
        listening: The socket.
        address: Under which names it is reached, and where the API is.
        viewers: Knows who may see what.
    """
    # The charts' library takes a second to import, and the first page some time to build: not at a viewer's expense.
    with loading():
        import streamlit as st

        from dashboards.pages import FIRST, PAGES

        # pyarrow imports it at the first array, in whichever thread makes that; Altair in another would see half of it.
        import_module("pandas")
    loading_page.prepare()
    app = st.App(
        Path(__file__).with_name("app.py"),
        middleware=[
            Middleware(Gate, address.names),
            Middleware(SignIn, viewers, IdentityApi(address.api_url), address.names),
            Middleware(UnknownPages, PAGES.keys(), FIRST),
            Middleware(loading_page.LoadingPage),
        ],
    )
    # These objects live as long as the process; the garbage collector need not scan them.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal that stopped it a second time, which would end the process as if it had been killed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn_config(app)).run(sockets=[listening])


def uvicorn_config(app: ASGIApp, head_seconds: float = _HEAD_SECONDS) -> uvicorn.Config:
    """Uvicorn's settings, with bounds on connections and heads.

    Args:
        app: What answers.
        head_seconds: For the head of a request to come, and for a client to read an answer that is no websocket.
    """
    # A proxy brings everybody by one address.
    connections = Connections(_MAX_CONNECTIONS, _MAX_CONNECTIONS)
    return uvicorn.Config(
        app,
        http=bounded_protocol(head_seconds, connections, "text/plain", b"too many connections\n"),
        access_log=False,
        log_level="warning",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        use_colors=False,
        # What proxies say of a client is judged by dashboards.web.sign_in.
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def main() -> None:
    """Serve until a signal; exits with 1 where the address cannot be used, with 2 where a setting cannot."""
    try:
        logs, address, settings = load(os.environ, read)
    except InvalidSettings as error:
        sys.stderr.write(f"dashboard: {error}\n")
        sys.exit(2)
    configure_logs(logs, without_addresses=True)
    allow_descriptors(_MAX_CONNECTIONS + _OTHER_DESCRIPTORS)
    try:
        listening = listen(address.host, address.port)
    except OSError as error:
        sys.stderr.write(f"dashboard: cannot listen on {address.host}:{address.port}: {error.strerror}\n")
        sys.exit(1)
    # Only here: the import takes half a second, which a mistake in the settings need not wait for.
    from streamlit.web import bootstrap

    from dashboards.data.current import viewers

    # The names of options have dots; the loader's are those of command line flags.
    bootstrap.load_config_options(
        {name.replace(".", "_"): value for name, value in options(address.host, address.port).items()}
    )
    try:
        known = viewers()
    except Refused as error:
        sys.stderr.write(f"dashboard: {error}\n")
        sys.exit(2)
    warn_of_unreachable({part: settings.urls.of(part) for part in ALL_PARTS}, _log)
    with listening:
        serve(listening, address, known)


if __name__ == "__main__":
    main()
