"""Paths that are no page of the dashboard."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from dashboards.pages import FIRST, PAGES
from dashboards.web.unknown import UnknownPages


def ask(path: str) -> httpx.Response:
    """What is answered at a path, where everything that is a page is ``drawn``."""
    app = UnknownPages(PlainTextResponse("drawn"), PAGES.keys(), FIRST)

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8501") as client:
            return await client.get(path)

    return asyncio.run(get())


@pytest.mark.parametrize("path", ["/nopage", "/sources/more", "/Sources", "/app", "/static"])
def test_a_path_that_is_no_page_is_answered_by_a_page_that_says_so(path: str) -> None:
    answer = ask(path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert 'href="/"' in answer.text


@pytest.mark.parametrize(
    "path",
    ["/", "/sources", "/counting/", "/notifications", "/static/js/a.js", "/sources/_stcore/health", "/favicon.png"],
)
def test_pages_and_what_they_are_made_of_are_served(path: str) -> None:
    assert ask(path).text == "drawn"


def test_the_first_page_is_found_by_its_name_too() -> None:
    answer = ask(f"/{FIRST}?store=alpha&channel=Paid%20Search")
    assert (answer.status_code, answer.headers["location"]) == (307, "/?store=alpha&channel=Paid%20Search")
