"""Times as the API says and reads them: RFC 3339, UTC, with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_CHARS: Final = 40
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def rfc3339(milliseconds: int) -> str:
    """A moment, given in epoch milliseconds."""
    return (_EPOCH + milliseconds * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(text: str) -> int:
    """Epoch milliseconds of a moment with its zone; what is smaller is cut off.

    Raises:
        ValueError: It is none, or has no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("there is no zone")
    try:
        # In another zone it may lie beyond the calendar, where nobody could be shown it.
        # No fraction: the last moment of the calendar would be rounded up to one beyond it.
        return (moment.astimezone(UTC) - _EPOCH) // _MILLISECOND
    except OverflowError as error:
        raise ValueError("no moment of the calendar") from error


def _moment(text: str) -> str:
    try:
        epoch_ms(text)
    except ValueError as error:
        raise PydanticCustomError("time", "give a time with its zone, such as 2026-11-29T12:00:00Z") from error
    return text


Moment = Annotated[str, Field(max_length=_CHARS, examples=["2026-11-29T12:00:00.000Z"]), AfterValidator(_moment)]
"""A moment in a body; ``epoch_ms`` reads it."""
