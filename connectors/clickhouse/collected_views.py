"""When the pages of a store began to send their own views."""

from __future__ import annotations

from datetime import datetime

from connectors.clickhouse.client import ClickHouse
from marketplace.tables import CLICKS


def first_collected_view(clickhouse: ClickHouse, store: str) -> datetime | None:
    """When the first page view of a person came from a page, an image or a server; None where none has.

    It is the time of receipt: a browser's clock may be wrong.

    Args:
        clickhouse: Where the facts are.
        store: The slug.

    Raises:
        Unavailable: ClickHouse is unavailable.
    """
    table = f"{clickhouse.database}.{CLICKS.name}"
    if clickhouse.rows(f"EXISTS TABLE {table}") == [(0,)]:
        return None
    views = "store = {store:String} AND type = 'view' AND origin != 'import' AND is_bot = 0"
    ((count, first),) = clickhouse.rows(
        f"SELECT count(), min(received_at) FROM {table} WHERE {views}", {"store": store}
    )
    return first if count else None
