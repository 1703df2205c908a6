"""Texts of a catalog: of one line or several, without what makes a reader's screen lie."""

from __future__ import annotations

import re
from typing import Final

ONE_LINE: Final = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]*"
"""No end of a line, no command of a terminal, and nothing that makes the text around it run backwards."""

SEVERAL_LINES: Final = r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]*"
"""The same, with ends of lines and tabs."""

_ONE_LINE: Final = re.compile(ONE_LINE)
_SEVERAL_LINES: Final = re.compile(SEVERAL_LINES)
_ENDS: Final = re.compile(r"\r\n?")


def is_line(text: str, most: int) -> bool:
    """Whether it is a text of one line, with 1 to so many characters, some of which can be seen."""
    return 0 < len(text) <= most and text == text.strip() and _ONE_LINE.fullmatch(text) is not None


def is_text(text: str, most: int) -> bool:
    """Whether it is a text of any lines, with up to so many characters."""
    return len(text) <= most and _SEVERAL_LINES.fullmatch(text) is not None


def with_plain_ends(text: str) -> str:
    r"""The text with ``\n`` at each end of a line, whatever its writer's system ends lines with."""
    return _ENDS.sub("\n", text)
