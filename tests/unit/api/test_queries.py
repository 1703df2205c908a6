"""A query is validated once for each text, and answered as if it were each time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, get_type_hints

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import AfterValidator
from starlette.responses import PlainTextResponse

from api.analytics.routes import ANALYTICS
from api.web.bodies import REQUEST_SECONDS, StrictRoute
from api.web.queries import MAX_BYTES, MAX_TEXTS, made_of_queries

VALIDATED: list[str] = []


def note(text: str) -> str:
    VALIDATED.append(text)
    return text


Word = Annotated[str, Query(max_length=2_000, pattern="^[a-z0-9]+$"), AfterValidator(note)]


async def of_word(word: Word = "nothing") -> str:
    return word


async def word_and_header(word: Word, x_name: Annotated[str, Header()] = "") -> str:
    return f"{word} {x_name}"


async def plain(request: Request, word: Word = "nothing") -> Response:
    return PlainTextResponse(f"{request.headers['x-name']} asks {word}")


async def dependent(request: Request, word: Annotated[str, Depends(of_word)]) -> Response:
    return PlainTextResponse(f"{request.headers['x-name']} asks {word}")


async def with_header(request: Request, x_name: Annotated[str, Header()], word: Word = "nothing") -> Response:
    return PlainTextResponse(f"{x_name} asks {word}")


async def with_header_below(request: Request, words: Annotated[str, Depends(word_and_header)]) -> Response:
    return PlainTextResponse(words)


async def with_status(request: Request, response: Response, word: Word = "nothing") -> Response:
    return PlainTextResponse(f"{request.headers['x-name']} asks {word}")


async def made_by_fastapi(request: Request, word: Word = "nothing") -> dict[str, Any]:
    return {"asks": word, "name": request.headers["x-name"]}


def ask(endpoint: Any, *requests: tuple[str, str]) -> list[httpx.Response]:
    """Send queries, each with a name in a header."""
    VALIDATED.clear()
    app = FastAPI()
    app.state.parameters, app.state.request_seconds = {}, REQUEST_SECONDS
    app.router.add_api_route("/x", endpoint, methods=["GET"], route_class_override=StrictRoute)

    async def whole() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example") as client:
            return [await client.get(f"/x?{query}", headers={"x-name": name}) for query, name in requests]

    return asyncio.run(whole())


def texts(answers: Sequence[httpx.Response]) -> list[str]:
    return [answer.text for answer in answers]


@pytest.mark.parametrize("endpoint", [plain, dependent])
def test_a_text_is_validated_once_and_each_request_is_answered_as_its_own(endpoint: Any) -> None:
    answers = ask(
        endpoint, ("word=tea", "ann"), ("word=tea", "bob"), ("word=pot", "ann"), ("word=tea", "eve"), ("", "x")
    )
    assert texts(answers) == ["ann asks tea", "bob asks tea", "ann asks pot", "eve asks tea", "x asks nothing"]
    assert VALIDATED == ["tea", "pot"]


def test_all_questions_for_numbers_are_asked_by_the_query_alone() -> None:
    for route in ANALYTICS.router.routes:
        assert isinstance(route, StrictRoute)
        assert made_of_queries(route.dependant), route.path
        assert get_type_hints(route.endpoint)["return"] is Response, route.path


@pytest.mark.parametrize("endpoint", [plain, dependent])
def test_what_is_not_valid_is_refused_each_time(endpoint: Any) -> None:
    answers = ask(endpoint, *[("word=T", "ann")] * 3)
    assert [answer.status_code for answer in answers] == [422] * 3


@pytest.mark.parametrize("endpoint", [with_header, with_header_below, with_status, made_by_fastapi])
def test_an_endpoint_that_takes_more_than_the_query_gets_it_from_each_request(endpoint: Any) -> None:
    first, second = ask(endpoint, ("word=tea", "ann"), ("word=tea", "bob"))
    assert "ann" in first.text
    assert first.text.replace("ann", "bob") == second.text
    assert VALIDATED == ["tea", "tea"]


def test_of_many_texts_the_newest_are_remembered() -> None:
    words = [f"w{number}" for number in range(MAX_TEXTS + 1)]
    asked = [*words, words[-1], words[1], words[0]]
    answers = ask(plain, *[(f"word={word}", "ann") for word in asked])
    assert texts(answers) == [f"ann asks {word}" for word in asked]
    assert [*words, words[0]] == VALIDATED


def test_a_text_of_many_bytes_is_validated_each_time() -> None:
    fits = "x" * (MAX_BYTES - len("word="))
    ask(plain, *[(f"word={fits}", "ann")] * 2, *[(f"word={fits}x", "ann")] * 2)
    assert [fits, f"{fits}x", f"{fits}x"] == VALIDATED
