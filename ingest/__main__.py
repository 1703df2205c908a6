"""``python -m ingest``: a collector whose surroundings come from the environment."""

from __future__ import annotations

import os
import sys

from connectors.errors import Refused
from ingest.config import NEEDS, Addresses, CollectorConfig
from ingest.logs import configure_logs
from ingest.server import serve
from marketplace.settings import InvalidSettings, Settings
from runtime.garbage import rest_collector


def main() -> int:
    """Serve until a signal; 1 when an address is taken, 2 when the environment cannot be used."""
    configure_logs()
    try:
        settings = Settings.load(os.environ, needs=NEEDS)
        config = CollectorConfig.load(os.environ)
        addresses = Addresses.load(os.environ)
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    rest_collector()
    try:
        serve(settings, addresses, config)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
