"""What is wrong with a value, in words for people; Pydantic's own are for programmers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "this is needed",
    "extra_forbidden": "there is no such field",
    "string_type": "give a text",
    "string_too_short": "give at least {min_length} characters",
    "string_too_long": "give at most {max_length} characters",
    "string_pattern_mismatch": "this does not have the form that the documentation describes",
    "int_type": "give a whole number",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "float_type": "give a number",
    "float_parsing": "give a number",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "list_type": "give a list",
    "dict_type": "give an object",
    "model_type": "give an object",
    "model_attributes_type": "give an object",
    "too_short": "give at least {min_length}",
    "too_long": "give at most {max_length}",
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give {ge} or more",
    "less_than": "give less than {lt}",
    "less_than_equal": "give {le} or less",
    "enum": "give one of: {expected}",
    "literal_error": "give one of: {expected}",
}
"""By Pydantic's type of error; the context has the bounds, and nothing of what was sent."""


def message_of(error: Mapping[str, Any]) -> str:
    """The words for an error of Pydantic.

    Args:
        error: With its ``type``, ``msg`` and, where there are bounds, ``ctx``.
    """
    text = _MESSAGES.get(str(error["type"]))
    return str(error["msg"]) if text is None else text.format_map(error.get("ctx", {}))
