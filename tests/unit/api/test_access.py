"""What a route demands: said when it is registered, and decided in one place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from fastapi import APIRouter, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse, Response

from api.access import Demand, Requirement
from api.api_keys.schemas import Scope
from api.web.cursors import cursor, place_of
from api.web.problems import Problem
from api.web.routes import Routes, include
from api.web.times import epoch_ms, rfc3339
from marketplace.identity.roles import API_KEY_SCOPES, Permission


def silent_app() -> FastAPI:
    return FastAPI(openapi_url=None, docs_url=None, redoc_url=None)


async def endpoint(request: Request) -> dict[str, Any]:
    """Answer."""
    return {}


async def plain(request: Request) -> Response:
    return PlainTextResponse("x")


@pytest.mark.parametrize("demand", [*Demand, *Permission])
@pytest.mark.parametrize("path", ["/v1/stores/{store}", "/v1/stores/{store}/x/{id}", "/v1/stores", "/v1/{stores}"])
def test_a_permission_is_demanded_where_the_path_names_a_store_and_nowhere_else(demand: Requirement, path: str) -> None:
    routes = Routes("", "Test")
    if isinstance(demand, Permission) == ("{store}" in path):
        routes.add("GET", path, demand=demand)(endpoint)
        assert routes.rules["GET", path].demand is demand
    else:
        with pytest.raises(ValueError, match="permission is demanded in a store that the path names"):
            routes.add("GET", path, demand=demand)


def test_a_route_that_does_not_say_what_it_demands_cannot_be_registered() -> None:
    routes = Routes("/v1/stores", "Test")
    with pytest.raises(TypeError, match="demand"):
        routes.add("GET", "/{store}")  # type: ignore[call-arg]  # that it cannot be left out is the test
    routes.router.add_api_route("/{store}", endpoint)
    with pytest.raises(ValueError, match=r"GET /v1/stores/\{store\} does not say what it demands"):
        include(silent_app(), [routes])


@pytest.mark.parametrize(
    "how", ["on the application", "in a router", "as a mount", "as a websocket", "as a plain route"]
)
def test_a_route_that_was_registered_past_the_rules_is_found_wherever_it_is(how: str) -> None:
    app, inner, routes = silent_app(), APIRouter(prefix="/v1"), Routes("/v1", "Test")
    routes.add("GET", "/fine", demand=Demand.NOTHING)(endpoint)
    if how == "on the application":
        app.add_api_route("/v1/x", endpoint)
    elif how == "in a router":
        inner.add_api_route("/x", endpoint)
        app.include_router(inner, prefix="/deep")
    elif how == "as a mount":
        app.mount("/x", silent_app())
    elif how == "as a websocket":
        app.add_api_websocket_route("/x", endpoint)
    else:
        app.add_route("/x", plain)
    with pytest.raises(ValueError, match="/x does not say what it demands"):
        include(app, [routes])


def test_one_path_is_registered_once() -> None:
    routes = Routes("/v1", "Test")
    for _ in range(2):
        routes.add("GET", "/x", demand=Demand.NOTHING)(endpoint)
    with pytest.raises(ValueError, match="GET /v1/x is registered twice"):
        include(silent_app(), [routes])


@pytest.mark.parametrize(
    ("method", "given", "frozen"),
    [
        ("GET", None, True),
        ("POST", None, False),
        ("DELETE", None, False),
        ("DELETE", True, True),
        ("GET", False, False),
    ],
)
def test_in_a_frozen_store_only_reading_works_unless_a_route_says_otherwise(
    method: str, given: bool | None, frozen: bool
) -> None:
    routes = Routes("", "Test")
    routes.add(method, "/{store}", demand=Permission.READ_STORE, works_frozen=given)(endpoint)
    assert routes.rules[method, "/{store}"].works_frozen is frozen


def test_the_scopes_that_can_be_asked_for_are_those_that_a_key_can_have() -> None:
    assert set(get_args(Scope)) == {scope.value for scope in API_KEY_SCOPES}


@pytest.mark.parametrize("place", ["shop", "a", "x" * 63])
def test_a_cursor_gives_its_place_back_to_its_own_list_alone(place: str) -> None:
    text = cursor("stores", place)
    assert place_of("stores", text) == place
    for kind, changed in (
        ("products", text),
        ("stores", text[:-1]),
        ("stores", text + "A"),
        ("stores", "é"),
        ("stores", ""),
    ):
        with pytest.raises(Problem, match="400"):
            place_of(kind, changed)


def test_a_time_is_read_as_it_is_written() -> None:
    assert rfc3339(epoch_ms("2026-11-29T13:00:00.123456+01:00")) == "2026-11-29T12:00:00.123Z"


@pytest.mark.parametrize(
    "text", ["", "x", "2026-11-29T12:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]
)
def test_what_is_no_moment_with_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the sentence is the caller's
        epoch_ms(text)


def test_who_is_asking_is_known_to_routes_that_demand_somebody_alone() -> None:
    from api.access import access_of, caller_of

    scope: dict[str, Any] = {"type": "http", "state": {"caller": None, "access": None}}
    with pytest.raises(AssertionError, match="demands nobody"):
        caller_of(Request(scope))
    with pytest.raises(AssertionError, match="demands no permission"):
        access_of(Request(scope))
    assert asyncio.run(endpoint(Request(scope))) == {}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59.998Z", "9999-12-31T23:59:59.998Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_at_an_end_of_the_calendar_is_read_and_shown_without_its_smallest_digits(text: str, read: str) -> None:
    assert rfc3339(epoch_ms(text)) == read


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_that_is_read_can_be_shown_and_is_the_same_to_its_milliseconds(moment: datetime) -> None:
    cut = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert datetime.fromisoformat(rfc3339(epoch_ms(moment.isoformat()))) == cut
