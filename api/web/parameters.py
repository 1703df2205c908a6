"""Parameters of the query: as of the fields of a body, there are no others, and one that is no list comes once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from api.web.problems import INVALID, FieldError, Problem

_MOST_NAMED: Final = 20
_NAME_CHARS: Final = 100

Parameters = Mapping[tuple[str, str], Mapping[str, bool]]
"""By method and path template: the names, and whether each is a list."""


def parameters_of(routes: Sequence[BaseRoute]) -> Parameters:
    """The parameters of queries of the operations that are documented, as their document will say.

    Args:
        routes: Of an application.
    """
    return {
        (method, route.path): {each.alias: _is_list(each.field_info.annotation) for each in _query(route.dependant)}
        for route in routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods or ()
    }


def _query(dependant: Dependant) -> list[Any]:
    return [*dependant.query_params, *(each for inner in dependant.dependencies for each in _query(inner))]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_is_list(each) for each in get_args(annotation))


def check_parameters(request: Request) -> None:
    """Refuse what would change an answer without a word.

    That is a parameter that there is not, as a misspelt one, and one that is there twice: readers differ in which of
    the two they take.

    Raises:
        Problem: One is.
    """
    if not request.scope["query_string"]:
        return
    known: Parameters = request.app.state.parameters
    names = known.get((request.method, request.scope["route"].path))
    if names is None:
        return  # a page for people
    counts = Counter(name for name, _ in request.query_params.multi_items())
    errors = [
        FieldError(f"query:{name[:_NAME_CHARS]}", "unknown", "there is no such parameter")
        for name in sorted(counts.keys() - names.keys())
    ]
    errors += [
        FieldError(f"query:{name}", "twice", "give it once")
        for name, is_list in sorted(names.items())
        if counts[name] > 1 and not is_list
    ]
    if errors:
        raise Problem(INVALID, errors=errors[:_MOST_NAMED])
