"""``python -m ingest``: a collector whose surroundings come from the environment."""

from __future__ import annotations

import os
import sys

from ingest.config import PREFIX, CollectorConfig
from ingest.logs import configure_logs
from ingest.server import DEFAULT_HOST, DEFAULT_PORT, serve
from marketplace.settings import InvalidSettings, Settings


def main() -> int:
    """Serve until a signal; 2 when the environment cannot be used."""
    configure_logs()
    try:
        settings = Settings.load(os.environ)
        config = CollectorConfig.load(os.environ)
        port = _port(os.environ.get(f"{PREFIX}PORT", str(DEFAULT_PORT)))
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    serve(settings, os.environ.get(f"{PREFIX}HOST", DEFAULT_HOST), port, config)
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise InvalidSettings(f"{PREFIX}PORT={text}: not a port")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
