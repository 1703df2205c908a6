"""``python -m api``: the REST API, configured by the environment."""

from __future__ import annotations

import os
import sys

from api.config import ApiConfig
from api.identity.key_file import BadKeyFile
from connectors.errors import Refused
from runtime.garbage import loading
from runtime.logs import LogSettings, configure_logs
from runtime.sections import CLICKHOUSE_URL, REDIS_URL, MongoSettings
from runtime.settings import EnvReader, InvalidSettings, load


def read(env: EnvReader) -> tuple[LogSettings, MongoSettings, str, str, ApiConfig]:
    """Read the sections that the API needs: none for Kafka, which it does not use."""
    config = ApiConfig.read(env)
    urls = env.require(REDIS_URL, "", ""), env.require(CLICKHOUSE_URL, "", "")
    return LogSettings.read(env), MongoSettings.read(env), *urls, config


def main() -> int:
    """Serve until a signal; returns 1 when an address or the keys cannot be used, 2 when a setting cannot."""
    try:
        logs, mongo, redis_url, clickhouse_url, config = load(os.environ, read)
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # Clients are people: their full addresses must not be logged.
    configure_logs(logs, without_addresses=True)
    # It takes a second, after which nobody should learn that a setting cannot be used.
    with loading():
        from api.server import serve
    try:
        serve(config, mongo, redis_url, clickhouse_url)
    except (BadKeyFile, Refused) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
