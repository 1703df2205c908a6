"""``python -m ingest``: a collector that is configured by the environment."""

from __future__ import annotations

import os
import sys

from connectors.errors import Refused
from connectors.kafka.client_config import KafkaConnection
from ingest.config import Addresses, CollectorConfig
from ingest.http.server import serve
from runtime.garbage import rest_collector
from runtime.logs import LogSettings, configure_logs
from runtime.sections import MongoSettings, read_kafka
from runtime.settings import EnvReader, InvalidSettings, load


def read(env: EnvReader) -> tuple[LogSettings, KafkaConnection, MongoSettings, CollectorConfig, Addresses]:
    """Read the sections that a collector needs: none for ClickHouse or Redis, which it does not use."""
    bounds = CollectorConfig.read(env), Addresses.read(env)
    return LogSettings.read(env), read_kafka(env), MongoSettings.read(env), *bounds


def main() -> int:
    """Serve until a signal; returns 1 when an address is taken, 2 when a setting cannot be used."""
    try:
        logs, kafka, mongo, config, addresses = load(os.environ, read)
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # Clients are visitors: their full addresses must not be logged.
    configure_logs(logs, without_addresses=True)
    rest_collector()
    try:
        serve(kafka, mongo, addresses, config)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
