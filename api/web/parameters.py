"""Parameters of the query: one that is no list comes once, as a field of a body does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from api.web.problems import INVALID, FieldError, Problem

SingleParameters = Mapping[tuple[str, str], frozenset[str]]
"""Names by method and path template."""


def single_parameters(document: Mapping[str, Any]) -> SingleParameters:
    """The parameters of queries that are no lists.

    Args:
        document: The OpenAPI document.
    """
    return {
        (method.upper(), path): frozenset(
            each["name"] for each in operation.get("parameters", ()) if each["in"] == "query" and not _is_list(each)
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def _is_list(parameter: Mapping[str, Any]) -> bool:
    schema = parameter["schema"]
    return "array" in (each.get("type") for each in (schema, *schema.get("anyOf", ())))


def check_single(request: Request) -> None:
    """Refuse a parameter that is there twice: readers differ in which of the two they take.

    Raises:
        Problem: One is.
    """
    if not request.scope["query_string"]:
        return
    known: SingleParameters = request.app.state.single_parameters
    names = known.get((request.method, request.scope["route"].path), frozenset())
    counts = Counter(name for name, _ in request.query_params.multi_items() if name in names)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise Problem(INVALID, errors=[FieldError(f"query:{name}", "twice", "give it once") for name in twice])
