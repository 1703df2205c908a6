"""``python -m tests.kits.payments_process MONGO DATABASE``: asks about payments that are due, until it is killed.

The provider is that of the environment. Its time goes fifty times as fast as the machine's, so that pauses between
questions take no time.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta

from connectors.errors import Unavailable
from connectors.mongo.client import connect
from saga_consumers.consumer import Parts
from saga_consumers.payments.consumer import consumer
from tests.kits.payments import NOW


def main(mongo_url: str, database: str) -> None:
    with connect(mongo_url) as client:
        made = consumer(Parts(client, database, os.environ))
        while True:
            try:
                # The machine's clock and no other: who comes next goes on from the same moment.
                made.sweep(NOW + timedelta(seconds=50 * (time.time() % 10_000_000)))
            except Unavailable:
                continue
            time.sleep(0.005)


if __name__ == "__main__":
    main(*sys.argv[1:])
