"""``python -m ops.sandbox_provider --data DIR --port N``: a payment provider for one machine, until a signal."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import uvicorn

from connectors.payments.secrets import BadSecrets, read_secrets
from ops.sandbox_provider.app import Provider, build_app
from ops.sandbox_provider.delivery import Delivery
from ops.sandbox_provider.store import Store
from runtime.logs import configure_logs

_DRAIN_SECONDS = 1
"""A script may let a question hang for a minute; what was acknowledged is on disk."""


def main() -> int:
    """Serve until a signal; 1 when its secrets cannot be read."""
    options = parser().parse_args()
    configure_logs()
    try:
        known = read_secrets(options.secrets)
    except BadSecrets as error:
        sys.stderr.write(f"{error}\n")
        return 1
    options.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(options.data / "provider.sqlite", options.account)
    # It signs with the first one: the others are those that are still good, or will be.
    delivery = Delivery(store, options.webhook_url, known.webhook_secrets[0], options.pace)
    app = build_app(Provider(store, delivery, known.api_key, options.pace))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        # A connection that a script cuts is an error to it.
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    return 0


def parser() -> argparse.ArgumentParser:
    """Its arguments."""
    parser = argparse.ArgumentParser(prog="sandbox_provider", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True, help="the file with the API key and webhook secrets")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18700)
    parser.add_argument("--account", default="sandbox")
    parser.add_argument("--webhook-url", default="", help="where webhooks go; they wait without it")
    parser.add_argument("--pace", type=float, default=1.0, help="how long a second of the cards' scripts takes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
