"""The page of the API's conventions says what the code declares."""

from __future__ import annotations

from api.web.problems import PROBLEM_TYPES
from ops.reference.access import rules
from ops.reference.api import TARGET, reference


def test_the_page_is_what_the_code_says() -> None:
    assert TARGET.read_text() == reference(), "run 'make reference'"


def test_the_page_has_every_problem_and_the_cost_of_every_route() -> None:
    page = TARGET.read_text()
    assert [kind.uri for kind in PROBLEM_TYPES if f"`{kind.uri}`" not in page] == []
    assert [key for key in rules() if f"`{key[0]} {key[1]}`" not in page] == []
