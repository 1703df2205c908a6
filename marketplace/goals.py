"""Goals: what a store wants its visitors to do.

A goal is a condition on single events, so it can be asked of all history, also of what happened before it had a name.
Patterns are those of paths: ``*`` is any text within a segment, ``**`` any text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from marketplace.clicks.events import (
    MAX_NAME_CHARS,
    MAX_PRODUCT_CHARS,
    MAX_PROPERTIES,
    MAX_PROPERTY_CHARS,
    MAX_PROPERTY_NAME_CHARS,
    MAX_TARGET_CHARS,
)

GoalKind = Literal["page", "target", "product", "event"]
"""A page that is seen; anything done to a target; anything done on a product's page or card; a named event."""

GOAL_KINDS: Final[tuple[GoalKind, ...]] = get_args(GoalKind)
MAX_GOALS: Final = 50
MAX_GOAL_NAME_CHARS: Final = 60
_MAX_PATTERN_CHARS: Final = {
    "page": 512,
    "target": MAX_TARGET_CHARS,
    "product": MAX_PRODUCT_CHARS,
    "event": MAX_NAME_CHARS,
}
_TYPES: Final[Mapping[GoalKind, tuple[str, ...]]] = {
    "page": ("view",),
    # A link out of the shop is an event of its own, where a store asked for that.
    "target": ("click", "event"),
    "product": ("click", "event"),
    "event": ("event",),
}
_WILD: Final = re.compile(r"(\*+)")


class InvalidGoal(ValueError):
    """A goal's definition is not valid; the message names the field and the rule."""


@dataclass(frozen=True)
class Goal:
    """A goal of a store.

    Attributes:
        name: What the store calls it; one of a kind within the store.
        kind: What its pattern is compared with.
        pattern: Of the page's path, the target, the product's id, or the event's name.
        properties: Those that a named event must have, with their values; only of goals of the kind ``event``.
    """

    name: str
    kind: GoalKind
    pattern: str
    properties: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if (
            not 0 < len(self.name) <= MAX_GOAL_NAME_CHARS
            or not self.name.isprintable()
            or self.name != self.name.strip()
        ):
            raise InvalidGoal(f"goal {self.name!r}: a name has 1 to {MAX_GOAL_NAME_CHARS} printable characters")
        if "/" in self.name or not self.name.strip("."):
            # It is a part of paths, in which both would mean something else.
            raise InvalidGoal(f"goal {self.name!r}: a name has no slash, and not dots alone")
        if self.kind not in GOAL_KINDS:
            raise InvalidGoal(f"goal {self.name!r}: its kind is one of {', '.join(GOAL_KINDS)}")
        if not 0 < len(self.pattern) <= _MAX_PATTERN_CHARS[self.kind]:
            raise InvalidGoal(f"goal {self.name!r}: a pattern has 1 to {_MAX_PATTERN_CHARS[self.kind]} characters")
        if self.kind == "page" and self.pattern[0] not in "/*":
            raise InvalidGoal(f"goal {self.name!r}: the pattern of a page begins with / or *, such as /checkout/**")
        if self.properties and self.kind != "event":
            raise InvalidGoal(f"goal {self.name!r}: only named events have properties")
        if len(self.properties) > MAX_PROPERTIES or len(dict(self.properties)) < len(self.properties):
            raise InvalidGoal(f"goal {self.name!r}: at most {MAX_PROPERTIES} properties, each once")
        for name, value in self.properties:
            if not 0 < len(name) <= MAX_PROPERTY_NAME_CHARS or len(value) > MAX_PROPERTY_CHARS:
                raise InvalidGoal(
                    f"goal {self.name!r}: a property has a name of 1 to {MAX_PROPERTY_NAME_CHARS} characters "
                    f"and a value of at most {MAX_PROPERTY_CHARS}"
                )


def reachable(goal: Goal) -> Goal:
    """Check that some event can reach a goal that is made or changed; one that is stored may be older than the rule.

    Raises:
        InvalidGoal: The collector refuses events of such a name.
    """
    if goal.kind == "event" and not goal.pattern.isprintable():
        raise InvalidGoal(f"goal {goal.name!r}: the name of an event has printable characters alone")
    return goal


PAID: Final = Goal("Paid", "event", "purchase")

FIRST_GOALS: Final = (
    Goal("Put into the cart", "event", "add_to_cart"),
    Goal("Began a checkout", "event", "begin_checkout"),
    PAID,
)
"""What every store begins with: the named events of its pages on this platform."""


def checked_goals(goals: tuple[Goal, ...]) -> tuple[Goal, ...]:
    """Check the goals of one store together.

    Raises:
        InvalidGoal: There are too many, or two of one name.
    """
    if len(goals) > MAX_GOALS:
        raise InvalidGoal(f"a store has at most {MAX_GOALS} goals")
    names = [goal.name for goal in goals]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidGoal(f"goal {twice!r}: there is one of that name already")
    return goals


def expression_of(pattern: str) -> str:
    """A regular expression, as RE2 reads it, for whole texts that fit a pattern."""
    parts = _WILD.split(pattern)
    texts = (("[^/]*" if len(part) == 1 else "(?s:.*)") if at % 2 else _escaped(part) for at, part in enumerate(parts))
    return f"^{''.join(texts)}$"


def _escaped(text: str) -> str:
    return "".join(char if char.isalnum() else f"\\x{{{ord(char):x}}}" for char in text)


def types_of(kind: GoalKind) -> tuple[str, ...]:
    """The types of events that can reach a goal of a kind."""
    return _TYPES[kind]


def column_of(kind: GoalKind) -> str:
    """What of an event a goal's pattern is compared with."""
    return "name" if kind == "event" else kind


def is_reached(goal: Goal, event: Mapping[str, str], properties: Mapping[str, str]) -> bool:
    """Whether an event that is no re-fire reaches a goal; one without a target or product reaches no goal of these.

    Args:
        goal: The goal.
        event: Its ``type``, ``page``, ``target``, ``product`` and ``name``.
        properties: Its properties.
    """
    if event["type"] not in types_of(goal.kind):
        return False
    value = event[column_of(goal.kind)]
    fits = value != "" and _fits(goal.pattern, value)
    return fits and all(properties.get(name) == value for name, value in goal.properties)


def _fits(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern, found by looking for its pieces from left to right."""
    tokens = [token for token in _WILD.split(pattern) if token]
    places = {0}
    for token in tokens:
        if token[0] != "*":
            places = {at + len(token) for at in places if text.startswith(token, at)}
        else:
            ends = set()
            for at in places:
                stop = len(text)
                if len(token) == 1 and "/" in text[at:]:
                    stop = text.index("/", at)
                ends |= set(range(at, stop + 1))
            places = ends
    return len(text) in places
