"""Queries of a store's numbers: the one layer that the dashboard, the terminal report and the REST API share."""

from connectors.insights.insights import Insights
from connectors.insights.numbers import (
    Breakdown,
    Conversion,
    LiveEvent,
    LiveMinute,
    Numbers,
    Outcomes,
    Row,
    SessionDistribution,
    Target,
    TrendWithTotals,
)
from connectors.insights.scope import Attribution, Bots, InvalidQuery, QueryTooLarge, Scope, filters_of

__all__ = [
    "Attribution",
    "Bots",
    "Breakdown",
    "Conversion",
    "Insights",
    "InvalidQuery",
    "LiveEvent",
    "LiveMinute",
    "Numbers",
    "Outcomes",
    "QueryTooLarge",
    "Row",
    "Scope",
    "SessionDistribution",
    "Target",
    "TrendWithTotals",
    "filters_of",
]
