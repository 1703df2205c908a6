"""Where the next page of a list begins, as a text that clients give back as it is.

A cursor holds a place in one list and no right: each page is read in the scope of who asks for it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final

from api.web.problems import BAD_REQUEST, FieldError, Problem

MAX_CHARS: Final = 400
_CHECK_BYTES: Final = 6
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def cursor(kind: str, place: str) -> str:
    """The cursor of a place.

    Args:
        kind: The list and its order, so that a cursor of one is none of another.
        place: Of the last item before it.
    """
    return urlsafe_b64encode(_check(kind, place) + place.encode()).decode().rstrip("=")


def place_of(kind: str, text: str) -> str:
    """The place of a cursor.

    Raises:
        Problem: It is no cursor of this list.
    """
    try:
        whole = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        place = whole[_CHECK_BYTES:].decode()
    except ValueError as error:
        raise _none() from error
    if cursor(kind, place) != text:
        raise _none()
    return place


def match_of(kind: str, text: str, form: re.Pattern[str]) -> re.Match[str]:
    """The place of a cursor of a list whose places all have one form.

    The check of a cursor is no secret, so anybody can make one of any text: whatever reads a part of a place as a
    number asks for it here.

    Raises:
        Problem: It is no cursor of this list.
    """
    found = form.fullmatch(place_of(kind, text))
    if found is None:
        raise _none()
    return found


def number_of(kind: str, text: str) -> int:
    """The place of a cursor of a list whose places are whole numbers.

    Raises:
        Problem: It is no cursor of this list.
    """
    return int(match_of(kind, text, _NUMBER)[0])


def _check(kind: str, place: str) -> bytes:
    # It finds mistakes, and is no secret.
    return blake2b(f"{kind}\0{place}".encode(), digest_size=_CHECK_BYTES).digest()


def _none() -> Problem:
    return Problem(
        BAD_REQUEST,
        "the cursor is none of this list",
        errors=[FieldError("query:cursor", "cursor", "give the cursor of an earlier answer, as it is")],
    )
