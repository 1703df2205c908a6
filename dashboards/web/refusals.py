"""What the REST API refuses, as a page that says what to do."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from dashboards.web.identity_api import Answer
from dashboards.web.pages import Page, response

_WRONG: Final = "The address and the password do not go together."
_USED: Final = "This link is used, expired or incomplete."
_USED_NEXT: Final = "If you have used it before, it is done: sign in. Otherwise ask for another link."
_NO_LINK: Final = "This is not the whole link. Copy it from the mail once more, to its last character."
_OTHER: Final = "This cannot be done. Check what you have written."
_MINUTE_SECONDS: Final = 60


def refusal(page: Page, answer: Answer) -> Response:
    """A page once more, with what the API says is wrong."""
    problems = {name: _sentence(text) for name, text in answer.problems().items()}
    wrong = {each.name: problems[each.name] for each in page.fields if each.name in problems}
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return response(replace(page, error=_WRONG), 422)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _too_many(page, answer)
    if answer.status == HTTPStatus.GONE:
        # Nothing comes of it, whatever is filled in: what helps stands where the form was.
        return response(replace(page, error=_USED, text=(_USED_NEXT,), action="", links=(), actions=page.links), 422)
    if "token" in wrong:
        wrong["token"] = _NO_LINK
    return response(replace(page, problems=wrong) if wrong else replace(page, error=_OTHER), 422)


def _too_many(page: Page, answer: Answer) -> Response:
    seconds = int(answer.retry_after) if answer.retry_after.isdecimal() else _MINUTE_SECONDS
    text = f"There were too many attempts. Try again in {_span(seconds)}."
    return response(replace(page, error=text), 429, {"retry-after": str(seconds)})


def _span(seconds: int) -> str:
    if seconds <= 2 * _MINUTE_SECONDS:
        return "a second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // _MINUTE_SECONDS)} minutes"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""
