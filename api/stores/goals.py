"""The routes of a store's goals."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from api.access import access_of, caller_of
from api.identity.schemas import ONE_LINE, Input
from api.stores.service import StoreService
from api.web.conditions import edited_version
from api.web.problems import INVALID, PRECONDITION_REQUIRED, STALE, FieldError, Problem
from api.web.routes import Links, Routes
from marketplace.clicks.events import MAX_PROPERTIES, MAX_PROPERTY_CHARS, MAX_PROPERTY_NAME_CHARS
from marketplace.goals import MAX_GOAL_NAME_CHARS, Goal, GoalKind, InvalidGoal, checked_goals, reachable
from marketplace.identity.roles import Permission
from marketplace.identity.tenancy import NoSuchThing

GOALS: Final = Routes("/v1/stores/{store}/goals", "Goals")

_MAX_PATTERN_CHARS: Final = 512
_GOAL: Final[dict[str, Any]] = {
    "name": "Large cart", "kind": "event", "pattern": "add_to_cart", "properties": {"size": "L"},
}  # fmt: skip
_EDITED: Final[Links] = {
    "put_goal": {
        "store": "$request.path.store",
        "goal": "$response.body#/goals/0/name",
        "header.If-Match": "$response.header.ETag",
    }
}

Name = Annotated[
    str, Path(min_length=1, max_length=MAX_GOAL_NAME_CHARS, pattern=ONE_LINE, description="The goal's name.")
]
PropertyName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROPERTY_NAME_CHARS)]
PropertyValue = Annotated[str, StringConstraints(max_length=MAX_PROPERTY_CHARS)]


class GoalEdit(Input):
    """What a goal is to be."""

    kind: GoalKind = Field(
        description="What the pattern is compared with: a page that is seen, a target that is clicked, the product of "
        "an action, or the name of a named event.",
        examples=["event"],
    )
    pattern: str = Field(
        min_length=1,
        max_length=_MAX_PATTERN_CHARS,
        description="`*` is any text within a segment of a path, `**` any text.",
        examples=["add_to_cart", "/checkout/**"],
    )
    properties: dict[PropertyName, PropertyValue] = Field(
        default_factory=dict,
        max_length=MAX_PROPERTIES,
        description="What a named event must have; for the kind `event` alone.",
        examples=[{"size": "L"}],
    )


class GoalBody(BaseModel):
    """A goal of a store."""

    name: str
    kind: str
    pattern: str
    properties: dict[str, str]


class GoalList(BaseModel):
    """The goals of a store, in the order in which they were made."""

    goals: list[GoalBody]


def _service(request: Request) -> StoreService:
    found: StoreService = request.app.state.tenancy.stores
    return found


@GOALS.add("GET", "", demand=Permission.READ_STORE, example={"goals": [_GOAL]}, versioned=True,
           links=_EDITED)  # fmt: skip
async def list_goals(request: Request, response: Response) -> GoalList:
    """The goals of a store. The answer's `ETag` is the store's version, which a change of a goal has to name."""
    record = access_of(request).record
    response.headers["etag"] = record.etag
    return GoalList(goals=[_body(goal) for goal in record.store.goals])


@GOALS.add("PUT", "/{goal}", demand=Permission.EDIT_STORE, cost=2, problems=[STALE, PRECONDITION_REQUIRED],
           example=_GOAL, versioned=True)  # fmt: skip
async def put_goal(request: Request, response: Response, goal: Name, body: GoalEdit) -> GoalBody:
    """Make a goal, or change the one of that name.

    It is a condition on single events, so its numbers begin with the events and not with the goal. `If-Match` names the
    version of the store that is edited, as the `ETag` of the list said it.
    """
    access = access_of(request)
    try:
        wanted = reachable(Goal(goal, body.kind, body.pattern, tuple(body.properties.items())))
        others = tuple(each for each in access.record.store.goals if each.name != goal)
        checked_goals((*others, wanted))
    except InvalidGoal as error:
        raise Problem(INVALID, errors=[FieldError("", "goal", str(error).removeprefix(f"goal {goal!r}: "))]) from error
    version = edited_version(request, access.record.version)
    record = await _service(request).goals.put(access.slug, wanted, caller_of(request).user.id, version)
    response.headers["etag"] = record.etag
    return _body(wanted)


@GOALS.add("DELETE", "/{goal}", demand=Permission.EDIT_STORE, cost=2, status=204,
           problems=[STALE, PRECONDITION_REQUIRED])  # fmt: skip
async def remove_goal(request: Request, goal: Name) -> None:
    """Take a goal from a store. The events that reached it stay: with the goal, its numbers come back."""
    access = access_of(request)
    # Before the version is looked at, so that an unknown goal is none whatever was sent.
    if goal not in [each.name for each in access.record.store.goals]:
        raise NoSuchThing("the store has no goal of that name")
    version = edited_version(request, access.record.version)
    await _service(request).goals.remove(access.slug, goal, caller_of(request).user.id, version)


def _body(goal: Goal) -> GoalBody:
    return GoalBody(name=goal.name, kind=goal.kind, pattern=goal.pattern, properties=dict(goal.properties))
