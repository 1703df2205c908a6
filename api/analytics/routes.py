"""The routes of a store's numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request, Response

from api.access import access_of
from api.analytics.answers import Encoded
from api.analytics.questions import Asked, scope_of
from api.analytics.schemas import Breakdowns, Goals, Ledger, Live, Totals, Trend
from api.analytics.service import AnalyticsService
from api.web.conditions import is_unchanged
from api.web.problems import INVALID, LIMIT, NOT_ACCEPTABLE, FieldError, Problem
from api.web.routes import Routes
from connectors.insights import Attribution, InvalidQuery, QueryTooLarge, Scope
from marketplace.entitlements import ENTITLEMENTS
from marketplace.identity.roles import Permission
from marketplace.rollups import DIMENSIONS

ANALYTICS: Final = Routes("/v1/stores/{store}/analytics", "Analytics")

_CSV: Final = "text/csv"
_JSON: Final = "application/json"
_MAX_DIMENSIONS: Final = 6

_NUMBERS: Final[dict[str, Any]] = {
    "views": 1180, "actions": 104, "refires": 31, "visitors": 402, "visitors_error": 0.0, "sessions": 455,
    "bounces": 210, "duration_ms": 48210000,
}  # fmt: skip
_HEAD: Final[dict[str, Any]] = {
    "store": "anns-shop", "timezone": "Europe/Zurich", "from": "2026-11-01T00:00:00+01:00", "to": None,
    "bots": "exclude", "filters": ["country:CH"], "attribution": "visit",
}  # fmt: skip
_TREND: Final = {
    **_HEAD, "grain": "day", "rows": [{"bucket": "2026-11-28", "dimension": "all", "value": "", **_NUMBERS}]
}  # fmt: skip
_BREAKDOWNS: Final = {
    **_HEAD, "order": "visitors",
    "breakdowns": [{"dimension": "country", "rows": [{"value": "CH", **_NUMBERS}], "more": True}],
}  # fmt: skip
_GOALS: Final = {
    **_HEAD, "dimension": "channel",
    "goals": [
        {
            "goal": "Paid",
            "rows": [
                {"value": "Email", "conversions": 9, "converted": 8, "visitors": 400, "rate": 0.02, "estimated": False}
            ],
        }
    ],
    "more": False,
}  # fmt: skip
_LIVE: Final = {
    "store": "anns-shop",
    "minutes": [{"minute": "2026-11-29T12:00:00.000Z", "views": 11, "actions": 1, "visitors": 7}],
    "latest": [
        {
            "at": "2026-11-29T12:00:04.120Z", "type": "click", "page": "/shoes", "product": "sku-1",
            "target": "add-to-cart", "name": "", "country": "CH", "city": "Bern, CH", "device": "mobile",
            "source": "google",
        }
    ],
}  # fmt: skip
_LEDGER: Final = {
    **_HEAD,
    "rows": [
        {
            "hour": "2026-11-29T12:00:00.000Z", "received": 120, "outcomes": {"counted": 110, "duplicate": 10},
            "notes": {"clock_corrected": 3}, "difference": 0,
        }
    ],
}  # fmt: skip

Grain = Literal["hour", "day", "month"]
Dimension = Annotated[str, Query(json_schema_extra={"enum": [d.name for d in DIMENSIONS]}, max_length=20)]
_TIME: Final = "a date or a time, in the store's zone where it names none; rounded up to a quarter of an hour"


_Since = Annotated[
    str | None,
    Query(alias="from", min_length=1, max_length=40, description=f"Where the range begins: {_TIME}."),
]
_Until = Annotated[
    str | None, Query(alias="to", min_length=1, max_length=40, description=f"The first moment after it: {_TIME}.")
]
_Bots = Annotated[Literal["exclude", "include", "only"], Query(description="Whether tools and crawlers count.")]
_Filters = Annotated[
    list[Annotated[str, Query(max_length=300)]] | None,
    Query(alias="filter", max_length=10, description="`dimension:value`, at most one for each dimension."),
]


_Attribution = Annotated[
    Attribution,
    Query(
        description="Whose source, medium, campaign, channel and referrer a visit has: its own, or, where nobody sent "
        "it, those of the visitor's last visit within 30 days that somebody sent. Visitors without a cookie are others "
        "each day."
    ),
]


async def _range(since: _Since = None, until: _Until = None) -> Asked:
    return Asked(since or "", until or "")


async def _selection(bots: _Bots = "exclude", filters: _Filters = None) -> Asked:
    return Asked(bots=bots, filters=tuple(filters or ()))


async def _asked(
    since: _Since = None,
    until: _Until = None,
    bots: _Bots = "exclude",
    filters: _Filters = None,
    attribution: _Attribution = "visit",
) -> Asked:
    return Asked(since or "", until or "", bots, tuple(filters or ()), attribution)


_Asked = Annotated[Asked, Depends(_asked)]


def _service(request: Request) -> AnalyticsService:
    found: AnalyticsService = request.app.state.analytics
    return found


def _scope(request: Request, asked: Asked) -> Scope:
    access = access_of(request)
    store = access.record.store
    return scope_of(asked, store.slug, store.timezone, access.standing.tier, _service(request).now())


@ANALYTICS.add("GET", "/totals", demand=Permission.READ_NUMBERS, cost=2, model=Totals, problems=[LIMIT],
               example={**_HEAD, "numbers": _NUMBERS}, revalidates=True)  # fmt: skip
async def get_totals(request: Request, asked: _Asked) -> Response:
    """Numbers of a whole range.

    Visitors are those of the whole: never the sum of smaller ranges.
    """
    return await _answer(request, _service(request).totals(_scope(request, asked)))


@ANALYTICS.add("GET", "/trend", demand=Permission.READ_NUMBERS, cost=3, model=Trend, problems=[LIMIT, NOT_ACCEPTABLE],
               example=_TREND, also=[_CSV], revalidates=True)  # fmt: skip
async def get_trend(
    request: Request,
    asked: _Asked,
    grain: Annotated[Grain, Query(description="The buckets, in the store's zone.")] = "day",
    dimension: Annotated[Dimension, Query(description="What to split by.")] = "all",
) -> Response:
    """Numbers by hour, day or month, and by value of a dimension: what `marketplace report --json` prints.

    Buckets without events are left out. `Accept: text/csv` gives the rows as CSV, where the plan includes it.
    """
    _check_dimension(dimension)
    csv = _csv_asked(request)
    return await _answer(request, _service(request).trend(_scope(request, asked), grain, dimension, csv=csv), csv=csv)


@ANALYTICS.add("GET", "/breakdowns", demand=Permission.READ_NUMBERS, cost=3, model=Breakdowns, problems=[LIMIT],
               example=_BREAKDOWNS, revalidates=True)  # fmt: skip
async def get_breakdowns(
    request: Request,
    asked: _Asked,
    dimension: Annotated[
        list[Dimension] | None,
        Query(min_length=1, max_length=_MAX_DIMENSIONS, description="Each of which to split by; by default the page."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1_000, description="The most values of each.")] = 10,
    order: Annotated[
        Literal["views", "actions", "visitors", "sessions"], Query(description="Which number has to be largest.")
    ] = "visitors",
) -> Response:
    """The largest values of some dimensions over a whole range."""
    names = list(dict.fromkeys(dimension or ["page"]))
    for name in names:
        _check_dimension(name, without_all=True)
    return await _answer(request, _service(request).breakdowns(_scope(request, asked), names, limit, order))


@ANALYTICS.add("GET", "/goals", demand=Permission.READ_NUMBERS, cost=3, model=Goals, problems=[LIMIT], example=_GOALS,
               revalidates=True)  # fmt: skip
async def get_goals(
    request: Request,
    asked: _Asked,
    dimension: Annotated[Dimension, Query(description="What to split by.")] = "all",
    limit: Annotated[int, Query(ge=1, le=1_000, description="The most values.")] = 100,
) -> Response:
    """How often the store's goals were reached over a whole range, the values with the most visitors first.

    The rate is visitors who reached the goal of all visitors of the value. It is found by reading single events, so a
    goal has numbers from before it was made; a range with too many of them is refused.
    """
    _check_dimension(dimension)
    goals = access_of(request).record.store.goals
    return await _answer(request, _service(request).goals(_scope(request, asked), goals, dimension, limit))


@ANALYTICS.add("GET", "/live", demand=Permission.READ_NUMBERS, cost=2, model=Live, example=_LIVE,
               revalidates=True)  # fmt: skip
async def get_live(request: Request, asked: Annotated[Asked, Depends(_selection)]) -> Response:
    """The last half hour by minute, and the newest events."""
    return await _answer(request, _service(request).live(_scope(request, asked)))


@ANALYTICS.add("GET", "/ledger", demand=Permission.READ_NUMBERS, cost=3, model=Ledger, problems=[LIMIT, NOT_ACCEPTABLE],
               example=_LEDGER, also=[_CSV], revalidates=True)  # fmt: skip
async def get_ledger(request: Request, asked: Annotated[Asked, Depends(_range)]) -> Response:
    """What became of every event, by hour of receipt in UTC: `received` is the sum of all outcomes.

    `Accept: text/csv` gives the rows as CSV, where the plan includes it.
    """
    csv = _csv_asked(request)
    return await _answer(request, _service(request).ledger(_scope(request, asked), csv=csv), csv=csv)


def _check_dimension(name: str, *, without_all: bool = False) -> None:
    names = [dimension.name for dimension in DIMENSIONS if not (without_all and dimension.name == "all")]
    if name not in names:
        raise Problem(INVALID, errors=[FieldError("query:dimension", "enum", f"there are {', '.join(names)}")])


def _csv_asked(request: Request) -> bool:
    """Whether the caller prefers CSV, which has to be in the plan."""
    csv = wants_csv(request.headers.getlist("accept"))
    if csv and not ENTITLEMENTS[access_of(request).standing.tier].csv_export:
        raise Problem(LIMIT, "the plan does not include export as CSV")
    return csv


def wants_csv(accept: Sequence[str]) -> bool:
    """Whether CSV is preferred to JSON, by the headers ``Accept`` (RFC 9110, section 12.5.1); JSON where both are.

    Raises:
        Problem: Neither will do.
    """
    quality = {_JSON: (-1, 0.0), _CSV: (-1, 0.0)}
    for part in ",".join(accept or ["*/*"]).split(","):
        media, *parameters = (text.strip().lower() for text in part.split(";"))
        for offered, (specific, _) in quality.items():
            # The most specific range that fits decides.
            ranges = ("*/*", f"{offered.partition('/')[0]}/*", offered)
            if media in ranges and ranges.index(media) > specific:
                quality[offered] = ranges.index(media), _weight(parameters)
    json, csv = (quality[offered][1] for offered in (_JSON, _CSV))
    if max(json, csv) == 0:
        raise Problem(NOT_ACCEPTABLE, f"there are {_JSON} and {_CSV}")
    return csv > json


def _weight(parameters: list[str]) -> float:
    given = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    try:
        return min(max(float(given), 0.0), 1.0)
    except ValueError:
        return 0.0


async def _answer(request: Request, call: Awaitable[Encoded], *, csv: bool = False) -> Response:
    try:
        found = await call
    except QueryTooLarge as error:
        raise Problem(INVALID, str(error)) from error
    except InvalidQuery as error:
        raise Problem(INVALID, "no such query") from error
    headers = {"etag": found.etag, "cache-control": "private, no-cache", "vary": "accept, authorization"}
    if is_unchanged(request, found.etag):
        return Response(status_code=304, headers=headers)
    if csv:
        headers["content-disposition"] = f'attachment; filename="{access_of(request).slug}.csv"'
    return Response(found.body, headers=headers, media_type=f"{_CSV}; charset=utf-8" if csv else _JSON)
