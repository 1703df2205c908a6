"""Two rows with everything that is hard to carry."""

from datetime import UTC, datetime
from decimal import Decimal

ROWS = [
    [1, "naïve ' quote \\ tab\t", datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), Decimal("12.34")],
    [2, "", datetime(1999, 12, 31, tzinfo=UTC), None],
]
COLUMNS = ["id", "name", "at", "price"]
