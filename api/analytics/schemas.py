"""What the routes of analytics give, as JSON."""

from __future__ import annotations

from pydantic import BaseModel


class NumbersBody(BaseModel):
    """Numbers of any set of buckets and values: see `docs/reference/numbers.md`."""

    views: int
    actions: int
    refires: int
    visitors: int
    visitors_error: float
    sessions: int
    bounces: int
    duration_ms: int


class _Answer(BaseModel):
    store: str
    timezone: str
    bots: str
    filters: list[str]
    attribution: str


class _Range(_Answer):
    model_config = {
        "json_schema_extra": {"properties": {"from": {"type": ["string", "null"]}, "to": {"type": ["string", "null"]}}}
    }


class Totals(_Range):
    """Numbers of a range."""

    numbers: NumbersBody


class TrendRow(NumbersBody):
    """Numbers of a bucket and a value."""

    bucket: str
    dimension: str
    value: str


class Trend(_Range):
    """Numbers by bucket and value: the shape of `marketplace report --json`."""

    grain: str
    rows: list[TrendRow]


class BreakdownRow(NumbersBody):
    """Numbers of a value."""

    value: str


class BreakdownBody(BaseModel):
    """The largest values of a dimension."""

    dimension: str
    rows: list[BreakdownRow]
    more: bool


class Breakdowns(_Range):
    """The largest values of dimensions."""

    order: str
    breakdowns: list[BreakdownBody]


class ConversionRow(BaseModel):
    """How often a goal was reached by the visitors of a value."""

    value: str
    conversions: int
    converted: int
    visitors: int
    rate: float
    estimated: bool


class GoalNumbers(BaseModel):
    """How often a goal was reached, the values with the most visitors first."""

    goal: str
    rows: list[ConversionRow]


class Goals(_Range):
    """How often a store's goals were reached, by the values of a dimension."""

    dimension: str
    goals: list[GoalNumbers]
    more: bool


class LiveMinuteBody(BaseModel):
    """Counts of a minute."""

    minute: str
    views: int
    actions: int
    visitors: int


class LiveEventBody(BaseModel):
    """A recent event, without anything that identifies the visitor."""

    at: str
    type: str
    page: str
    product: str
    target: str
    country: str
    city: str
    device: str
    source: str


class Live(BaseModel):
    """The last half hour."""

    store: str
    minutes: list[LiveMinuteBody]
    latest: list[LiveEventBody]


class LedgerRowBody(BaseModel):
    """Events of an hour of receipt and what became of them."""

    hour: str
    received: int
    outcomes: dict[str, int]
    notes: dict[str, int]
    difference: int


class Ledger(_Range):
    """What became of every event."""

    rows: list[LedgerRowBody]
