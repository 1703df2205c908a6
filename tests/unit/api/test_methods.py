"""Which methods a path has, whichever routes they are registered by."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from api.web.methods import Methods
from marketplace.identity.roles import API_KEY_SCOPES
from tests.unit.api.test_app import OPENAPI, RULES, ask, assert_problem

ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND")


def of_paths() -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for method, path in RULES:
        found[path].add(method)
        if method == "GET":
            found[path].add("HEAD")
    return dict(found)


PATHS = of_paths()


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_a_path_does_not_have_is_answered_with_all_that_it_has(path: str) -> None:
    for method in ALL_METHODS:
        response = ask(method, path)
        if method in PATHS[path]:
            assert response.status_code != 405, method
            continue
        if method != "HEAD":
            assert_problem(response, 405, "method-not-allowed")
        allowed = response.headers["allow"].split(", ")
        assert (response.status_code, sorted(allowed)) == (405, sorted(PATHS[path])), method


@pytest.mark.parametrize("path", PATHS)
def test_a_slash_at_the_end_is_another_path_and_leads_nowhere(path: str) -> None:
    response = ask("GET", f"{path}/")
    assert_problem(response, 404, "not-found")
    assert "location" not in response.headers


@pytest.mark.parametrize("path", PATHS)
def test_an_end_of_a_line_at_the_end_makes_another_path_which_leads_nowhere(path: str) -> None:
    for method in ALL_METHODS:
        response = ask(method, f"{path}%0A")
        assert (response.status_code, response.headers.get("allow")) == (404, None), method


def test_a_path_that_is_written_out_is_no_value_of_a_parameter() -> None:
    methods = Methods([("DELETE", "/sessions/{session}"), ("POST", "/sessions/end"), ("GET", "/sessions")])
    assert methods.of("/sessions/end") == {"POST"}
    assert methods.of("/sessions/0123") == {"DELETE"}
    assert methods.of("/sessions") == {"GET", "HEAD"}
    assert [methods.of(path) for path in ("/", "/sessions/", "/sessions/a/b", "/nothing")] == [frozenset()] * 4


def operations() -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for path in OPENAPI["paths"].values() for each in path.values()}


def test_every_link_leads_to_an_operation_and_names_values_that_it_takes() -> None:
    known, seen = operations(), 0
    for operation in known.values():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                seen += 1
                target = known[link["operationId"]]
                names = {each["name"] for each in target.get("parameters", [])}
                assert {name.removeprefix("header.") for name in link.get("parameters", {})} <= names
                for name in link.get("requestBody", {}):
                    body = target["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                    assert name in OPENAPI["components"]["schemas"][body.rpartition("/")[2]]["properties"]
    assert seen > 15


def test_an_operation_takes_an_api_key_exactly_where_a_key_can_have_its_permission() -> None:
    for (method, path), rule in RULES.items():
        operation = OPENAPI["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            schemes = {name for each in operation.get("security", []) for name in each}
            assert ("apiKey" in schemes) == (rule.demand in API_KEY_SCOPES), (method, path)
            assert schemes <= OPENAPI["components"]["securitySchemes"].keys()
