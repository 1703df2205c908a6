from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.web.messages import message_of


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=2, max_length=4, pattern=r"^[a-z]+$")] = "ab"
    days: Annotated[int, Field(ge=1, le=7)] = 1
    kind: Literal["day", "week"] = "day"
    hosts: Annotated[list[str], Field(max_length=1)] = []
    good: bool = True


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a"}, "give at least 2 characters"),
        ({"name": "abcde"}, "give at most 4 characters"),
        ({"name": 1}, "give a text"),
        ({"name": "A1"}, "this does not have the form that the documentation describes"),
        ({"days": 0}, "give 1 or more"),
        ({"days": 8}, "give 7 or less"),
        ({"days": "x"}, "give a whole number"),
        ({"kind": "secret"}, "give one of: 'day' or 'week'"),
        ({"hosts": ["a", "b"]}, "give at most 1"),
        ({"hosts": "a"}, "give a list"),
        ({"good": 2}, "give true or false"),
        ({"secret": 1}, "there is no such field"),
    ],
)
def test_what_is_wrong_is_said_in_words_for_people_without_the_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Body.model_validate(values)
    assert [message_of(dict(each)) for each in refused.value.errors()] == [message]


def test_an_error_without_words_of_its_own_keeps_pydantics() -> None:
    assert message_of({"type": "custom", "msg": "give a host alone"}) == "give a host alone"
