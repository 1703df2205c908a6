"""The demo's shops in a deployment, which is somebody else's to start and to stop."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from ops.demo.services.background import retry_unavailable
from ops.demo.services.demo_accounts import DemoAccount, ensure_accounts
from ops.demo.services.demo_catalogs import ensure_catalogs, ensure_reviews
from ops.demo.services.demo_processes import close_history, open_shops
from ops.demo.traffic.keys import write_keys
from runtime.sections import Settings


def open_demo(settings: Settings, pages_url: str, seed: int) -> list[DemoAccount]:
    """Open the shops, unless they are open; returns the accounts with their new passwords.

    Args:
        settings: Where MongoDB is, and the folder in which the traffic finds the shops.
        pages_url: Where the pages are that links in mails lead to.
        seed: What the shops are drawn from.

    Raises:
        Unavailable: MongoDB does not answer.
        DemoFailed: The accounts cannot be made.
        OSError: The folder cannot be written.
    """
    folder = Path(settings.data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    run = f"{seed}-{time.time_ns() // 1_000_000:x}"
    opened = retry_unavailable(lambda: open_shops(settings, seed, run, fresh=False))
    # Nobody sends a history: the live traffic fills the pages.
    retry_unavailable(lambda: close_history(settings, opened))
    write_keys(folder, opened)
    retry_unavailable(lambda: ensure_catalogs(settings, opened, datetime.now(UTC)))
    accounts = retry_unavailable(lambda: ensure_accounts(settings, opened, pages_url, datetime.now(UTC)))
    retry_unavailable(lambda: ensure_reviews(settings, opened, datetime.now(UTC)))
    return accounts
