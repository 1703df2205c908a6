"""What may be asked of a store's numbers: the range, the filters, and how far back its plan reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from api.web.problems import INVALID, LIMIT, FieldError, Problem
from connectors.insights import InvalidQuery, Scope, filters_of
from marketplace.entitlements import BeyondHistory, Tier, begin_of_range


@dataclass(frozen=True)
class Asked:
    """The parameters of a question, as they were sent.

    Attributes:
        since, until: ISO dates or times; empty for none.
        bots: ``exclude``, ``include`` or ``only``.
        filters: ``dimension:value``.
        attribution: ``visit`` or ``last_non_direct``.
    """

    since: str = ""
    until: str = ""
    bots: str = "exclude"
    filters: tuple[str, ...] = ()
    attribution: str = "visit"


def scope_of(asked: Asked, store: str, timezone: str, tier: Tier, now: datetime) -> Scope:
    """The scope of a query.

    Args:
        asked: The parameters.
        store: The slug.
        timezone: The store's zone, in which times without one are read.
        tier: What the store's owners pay for.
        now: The time, with its zone.

    Raises:
        Problem: A parameter is not valid, or reaches further back than the tier does.
    """
    zone = ZoneInfo(timezone)
    since, until = _moment(asked.since, "from", zone), _moment(asked.until, "to", zone)
    try:
        begin = begin_of_range(tier, zone, now, since, until)
    except BeyondHistory as error:
        raise Problem(LIMIT, str(error)) from error
    # As moments: of the hour that comes twice Python compares the clock alone.
    if since is not None and until is not None and until.astimezone(UTC) <= since.astimezone(UTC):
        raise _invalid("to", "range", "the range is empty: it ends before it begins")
    scope = Scope(store, zone, begin, until, asked.bots, _filters(asked.filters), asked.attribution)
    try:
        scope.check()
    except InvalidQuery as error:
        raise Problem(INVALID, "no such query") from error
    return scope


def _moment(text: str, name: str, zone: ZoneInfo) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # Far from all years of a report, arithmetic with zones leaves the calendar.
        if not 1971 <= moment.year <= 2298:
            raise ValueError("no year of a report")
    except ValueError as error:
        raise _invalid(name, "time", "give a date or a time, such as 2026-05-17 or 2026-05-17T10:00") from error
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _filters(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    try:
        return filters_of(texts)
    except InvalidQuery as error:
        raise _invalid("filter", "filter", str(error)) from error


def _invalid(name: str, code: str, message: str) -> Problem:
    return Problem(INVALID, errors=[FieldError(f"query:{name}", code, message)])
