"""``python -m dashboards``: serve the dashboard.

``MARKETPLACE_DASHBOARD_HOST`` (127.0.0.1) and ``MARKETPLACE_DASHBOARD_PORT`` (8501) say where.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from marketplace.settings import InvalidSettings, Settings

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


def options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Streamlit's settings.

    Raises:
        InvalidSettings: The port is no port.
    """
    port = environment.get("MARKETPLACE_DASHBOARD_PORT", "8501")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidSettings(f"MARKETPLACE_DASHBOARD_PORT={port}: not a port")
    return {
        "server.address": environment.get("MARKETPLACE_DASHBOARD_HOST", "127.0.0.1"),
        "server.port": int(port),
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.enableStaticServing": True,
        "server.runOnSave": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "theme.baseRadius": "0.6rem",
        "theme.showWidgetBorder": True,
        "theme.metricValueFontSize": "1.5rem",
        **{f"theme.light.{name}": color for name, color in _LIGHT.items()},
        **{f"theme.dark.{name}": color for name, color in _DARK.items()},
    }


def main() -> None:
    """Serve until a signal."""
    try:
        Settings.load(os.environ)
        flags = options(os.environ)
    except InvalidSettings as error:
        sys.stderr.write(f"dashboard: {error}\n")
        sys.exit(4)
    from streamlit.web import bootstrap

    # The charts' library takes a second to import, which the first viewer should not wait for.
    import_module("dashboards.panels")
    # The names of options have dots; the loader's are those of command line flags.
    bootstrap.load_config_options({name.replace(".", "_"): value for name, value in flags.items()})
    bootstrap.run(str(Path(__file__).with_name("app.py")), False, [], {})


if __name__ == "__main__":
    main()
