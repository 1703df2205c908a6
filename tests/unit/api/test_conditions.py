"""Which answers a client has already."""

from __future__ import annotations

import pytest
from fastapi import Request

from api.web.conditions import is_unchanged
from tests.unit.api.test_app import ask

ETAG = '"0a1b"'


@pytest.mark.parametrize(
    ("given", "unchanged"),
    [
        ([ETAG], True),
        (['W/"0a1b"'], True),
        (['"x", W/"0a1b" ,"y"'], True),
        (['"x"', ETAG], True),
        (["*"], True),
        ([], False),
        ([""], False),
        (["0a1b"], False),
        (['"0a1"'], False),
        (['"x0a1b"'], False),
        (['w/"0a1b"'], False),
        (['"x", "y"'], False),
    ],
)
def test_an_answer_is_unchanged_where_any_tag_is_its_own_also_a_weak_one(given: list[str], unchanged: bool) -> None:
    headers = [(b"if-none-match", each.encode()) for each in given]
    assert is_unchanged(Request({"type": "http", "headers": headers}), ETAG) is unchanged


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/start.js", "/problems", "/problems/invalid"])
def test_what_a_proxy_has_compressed_is_known_by_its_weak_tag_too(path: str) -> None:
    first = ask("GET", path)
    assert first.status_code == 200
    for tag in (first.headers["etag"], f"W/{first.headers['etag']}"):
        again = ask("GET", path, headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
