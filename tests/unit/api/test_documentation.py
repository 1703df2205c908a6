"""The documentation's pages: complete, without the internet, and under a policy that lets nothing else in."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from api.orders import schemas as order_schemas
from api.web.problems import PROBLEM_TYPES
from tests.unit.api.test_app import APP, OPENAPI, RULES, ask, assert_problem

PAGES = ["/docs", "/problems", *(f"/problems/{kind.name}" for kind in PROBLEM_TYPES)]


def operations() -> list[Any]:
    return [
        pytest.param(operation, id=operation["operationId"])
        for path in OPENAPI["paths"].values()
        for operation in path.values()
    ]


def test_the_parameters_of_queries_that_are_taken_are_those_of_the_document() -> None:
    documented = {
        (method.upper(), path): {
            each["name"]: "array" in (one.get("type") for one in (each["schema"], *each["schema"].get("anyOf", ())))
            for each in operation.get("parameters", ())
            if each["in"] == "query"
        }
        for path, operations in OPENAPI["paths"].items()
        for method, operation in operations.items()
    }
    assert APP.app.state.parameters == documented  # type: ignore[attr-defined]  # what is within is the application
    assert {True, False} <= {is_list for names in documented.values() for is_list in names.values()}


def test_the_document_is_openapi_3_1_and_what_the_application_says() -> None:
    response = ask("GET", "/openapi.json")
    assert response.json() == json.loads(json.dumps(OPENAPI))
    assert response.json()["openapi"].startswith("3.1")


def test_every_route_is_in_the_document_unless_it_is_a_page_for_people() -> None:
    documented = {(method.upper(), path) for path, found in OPENAPI["paths"].items() for method in found}
    assert {path for _, path in RULES.keys() - documented} == {
        "/openapi.json",
        "/docs",
        "/docs/{file}",
        "/problems",
        "/problems/{name}",
    }


@pytest.mark.parametrize("operation", operations())
def test_every_operation_has_a_summary_and_an_example_of_each_answer_with_a_body(operation: Any) -> None:
    assert operation["summary"]
    for status, answer in operation["responses"].items():
        for media in answer.get("content", {}).values():
            assert "example" in media or media.get("examples"), status


@pytest.mark.parametrize("operation", operations())
def test_every_field_of_a_request_has_an_example(operation: Any) -> None:
    schemas = OPENAPI["components"]["schemas"]
    for media in operation.get("requestBody", {}).get("content", {}).values():
        if media["schema"].get("type") == "string":
            assert media["example"]  # a file
            continue
        assert without_example(schemas, media["schema"]) == []


def without_example(schemas: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Fields of a schema, and of objects in it, for which nobody finds an example."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "examples" in schema:
        return []
    found = []
    for name, each in schema["properties"].items():
        if "$ref" in each:
            found += [f"{name}.{inner}" for inner in without_example(schemas, each)]
        elif "examples" not in each:
            found.append(name)
    return found


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere(path: str) -> None:
    page = ask("GET", path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//[^\"]*", page.text) == []
    for loaded in re.findall(r'(?:src|href)="(/[^"]*)"', page.text):
        assert ask("GET", loaded).status_code == 200, loaded
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe-eval" not in page.headers["content-security-policy"]


@pytest.mark.parametrize("kind", PROBLEM_TYPES, ids=lambda kind: kind.name)
def test_the_type_of_a_problem_is_the_address_of_a_page_that_says_what_to_do(kind: Any) -> None:
    assert kind.title in ask("GET", kind.uri).text


@pytest.mark.parametrize("path", ["/docs/nothing.js", "/docs/..%2fapp.py", "/problems/nothing"])
def test_what_is_not_there_is_a_problem(path: str) -> None:
    assert_problem(ask("GET", path), 404, "not-found")


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    first = ask("GET", "/docs/swagger-ui-bundle.js")
    again = ask("GET", "/docs/swagger-ui-bundle.js", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("path", ["/docs", "/v1/identity/me", "/nothing"])
def test_a_head_request_gets_the_head_of_the_answer(path: str) -> None:
    def known(response: httpx.Response) -> dict[str, str]:
        return {name: value for name, value in response.headers.items() if name != "x-request-id"}

    get, head = ask("GET", path), ask("HEAD", path)
    assert (head.status_code, head.content, known(head)) == (get.status_code, b"", known(get))


def test_a_request_about_an_order_has_an_example_as_a_whole_that_the_route_takes() -> None:
    names = [
        media["schema"]["$ref"].rpartition("/")[2]
        for path, found in OPENAPI["paths"].items()
        for operation in found.values()
        for media in operation.get("requestBody", {}).get("content", {}).values()
        if "/orders" in path
    ]
    assert len(names) >= 4
    for name in names:
        for example in OPENAPI["components"]["schemas"][name]["examples"]:
            getattr(order_schemas, name).model_validate(example)
