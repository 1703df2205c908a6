"""The scope of a query: the store, the time range and the filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cached_property
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from marketplace.rollups import DIMENSIONS, GRAINS, QUARTER_MS, dimension
from marketplace.stores import SLUG

Bots = Literal["exclude", "include", "only"]
Attribution = Literal["visit", "last_non_direct"]
ATTRIBUTIONS: Final[tuple[Attribution, ...]] = get_args(Attribution)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2299
"""Both exclusive: the range of years that the tables' times can hold."""

BOTS: Final[dict[str, str]] = {"exclude": "is_bot = 0", "include": "1", "only": "is_bot = 1"}


class InvalidQuery(ValueError):
    """The arguments of a query are not valid; the message lists the valid ones."""


class QueryTooLarge(InvalidQuery):
    """The query would read more single clicks than allowed; the message says how to narrow it."""


@dataclass(frozen=True, eq=False)
class Scope:
    """The store, time range and filters of a query.

    Two scopes are equal where all their answers are. Python takes the two hours of one name, of the day on which clocks
    go back, for equal, and the same moment in two zones as well: so ends are compared as they are written.

    Attributes:
        store: The slug.
        zone: The store's time zone; naive times are read in it.
        since: The first moment (or day) that counts; None from the beginning. Numbers begin and end at quarters of an
            hour, the next one where the moment is not one itself; so ranges that meet count nothing twice.
        until: The first moment (or day) after the range; None to the end.
        bots: ``exclude``, ``include`` or ``only``.
        filters: Dimension and value, at most one for each dimension. An event counts if it, or for a dimension of
            visits its visit, has all these values; a session if the event that began it has, or for the page of exit
            the one that ended it.
        attribution: Whose source, medium, campaign, channel and referrer a visit has: ``visit``, its own, or
            ``last_non_direct``, those of the same visitor's last visit that somebody sent, within 30 days. Visitors
            without a cookie are others each day.
    """

    store: str
    zone: ZoneInfo
    since: datetime | None = None
    until: datetime | None = None
    bots: str = "exclude"
    filters: tuple[tuple[str, str], ...] = ()
    attribution: str = "visit"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scope) and self._written == other._written

    def __hash__(self) -> int:
        return hash(self._written)

    @cached_property
    def _written(self) -> tuple[object, ...]:
        ends = (moment and (moment.isoformat(), moment.fold) for moment in (self.since, self.until))
        return self.store, self.zone.key, *ends, self.bots, self.filters, self.attribution

    def check(self) -> None:
        """Validate all attributes.

        Raises:
            InvalidQuery: No such store name, year, choice or dimension, or a dimension twice.
        """
        if not SLUG.fullmatch(self.store):
            raise InvalidQuery(f"no store can be called {self.store!r}")
        for moment in (self.since, self.until):
            if moment is not None and not _FIRST_YEAR < moment.year < _LAST_YEAR:
                years = f"{_FIRST_YEAR + 1} and {_LAST_YEAR - 1}"
                raise InvalidQuery(f"the year {moment.year} is no year of a report; take one between {years}")
        if self.bots not in BOTS:
            raise InvalidQuery(f"no choice {self.bots!r} for bots; there are {', '.join(BOTS)}")
        if self.attribution not in ATTRIBUTIONS:
            raise InvalidQuery(f"no attribution {self.attribution!r}; there are {', '.join(ATTRIBUTIONS)}")
        names = [name for name, _ in self.filters]
        for name in names:
            check_split(name)
            if name == "all":
                raise InvalidQuery("'all' is everything; there is nothing to filter by")
        if len(set(names)) != len(names):
            raise InvalidQuery("one filter for each dimension")

    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """Both ends as instants (UTC)."""
        return self._instant(self.since), self._instant(self.until)

    def quarters(self) -> tuple[datetime | None, datetime | None]:
        """Both ends as instants (UTC), rounded up to a full quarter of an hour: the resolution of the rollups."""
        since, until = self.bounds()
        return _next_quarter(since), _next_quarter(until)

    def whole_days(self) -> bool:
        """Whether both ends are midnights of the store's own clock, so that daily rollups can be used."""
        ends = (self._local(moment) for moment in (self.since, self.until) if moment is not None)
        return all(end.time() == time(0) for end in ends)

    def labels(self) -> tuple[datetime | None, datetime | None]:
        """Both ends as keys of daily rollups: the store's own date, written as if it were UTC."""
        return self._label(self.since), self._label(self.until)

    def _local(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=self.zone) if moment.tzinfo is None else moment.astimezone(self.zone)

    def _instant(self, moment: datetime | None) -> datetime | None:
        return None if moment is None else self._local(moment).astimezone(UTC)

    def _label(self, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        local = self._local(moment)
        return datetime(local.year, local.month, local.day, tzinfo=UTC)


def _next_quarter(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(-(-moment.timestamp() * 1000 // QUARTER_MS) * QUARTER_MS // 1000, UTC)


def filters_of(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Filters from texts such as ``country:CH``, in the order of their names.

    Raises:
        InvalidQuery: A text names no dimension, or a dimension is named twice.
    """
    names = [d.name for d in DIMENSIONS if d.column is not None]
    found: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or name not in names:
            raise InvalidQuery(f"give dimension:value with one of {', '.join(sorted(names))}")
        if name in found:
            raise InvalidQuery("give one value for each dimension")
        found[name] = value
    return tuple(sorted(found.items()))


def check_split(split: str) -> None:
    """Validate the name of a dimension.

    Raises:
        InvalidQuery: There is no such dimension; the message lists those that there are.
    """
    try:
        dimension(split)
    except KeyError as error:
        raise InvalidQuery(str(error.args[0])) from error


def check_grain(grain: str) -> None:
    """Validate the name of a grain.

    Raises:
        InvalidQuery: There is no such grain; the message lists those that there are.
    """
    if grain not in GRAINS:
        raise InvalidQuery(f"no grain {grain!r}; there are {', '.join(GRAINS)}")
