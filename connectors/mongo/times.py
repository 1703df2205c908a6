"""Times as documents of Mongo have them: numbers of milliseconds, and dates."""

from __future__ import annotations

from datetime import UTC, datetime


def milliseconds(moment: datetime) -> int:
    """Epoch milliseconds of a moment; one without a zone, as Mongo gives them, is UTC's."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
