"""What a report says beside its numbers: why there are none, and which moments it begins and ends at."""

from __future__ import annotations

from datetime import UTC, datetime

from connectors.insights import Scope


def nothing_of(scope: Scope, what: str) -> str:
    """A sentence for a report without a row, with whatever may be the reason.

    Args:
        scope: What was asked.
        what: What there is none of: numbers, or visitors.
    """
    filters = " and ".join(f"{name}:{value}" for name, value in scope.filters)
    text = f"no {what} of {scope.store}"
    if filters:
        text += f" with {filters}"
    if scope.since or scope.until:
        text += " in that range"
    elif not filters:
        text += " yet"
    notes = ["there may be some without the filter" + "s" * (len(scope.filters) > 1)] if filters else []
    if scope.bots == "exclude":
        notes.append("'--bots include' shows those of tools and crawlers too")
    return "; ".join([text, *notes])


def rounded(scope: Scope) -> str:
    """That the range begins or ends at another moment than it says; empty where it does not."""
    moved = [
        f"{name} {_local(scope, asked)} means {_local(scope, taken)}"
        for name, asked, taken in zip(("--from", "--to"), scope.bounds(), scope.quarters(), strict=True)
        if asked is not None and taken is not None and asked != taken
    ]
    return f"Numbers are of whole quarters of an hour: {', '.join(moved)}." if moved else ""


def _local(scope: Scope, moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).astimezone(scope.zone).replace(tzinfo=None).isoformat(timespec="minutes")
