"""Answers for sellers: the one query layer that the dashboard, the terminal report and the REST API share."""

from connectors.insights.insights import Insights
from connectors.insights.numbers import Breakdown, Course, LiveEvent, LiveMinute, Numbers, Outcomes, Row, VisitShape
from connectors.insights.scope import BadQuestion, Bots, Scope, TooMuch

__all__ = [
    "BadQuestion",
    "Bots",
    "Breakdown",
    "Course",
    "Insights",
    "LiveEvent",
    "LiveMinute",
    "Numbers",
    "Outcomes",
    "Row",
    "Scope",
    "TooMuch",
    "VisitShape",
]
