"""Texts that people write: of one line or several, without what makes a reader's screen lie."""

from __future__ import annotations

import re
from typing import Final

_DECEIVING: Final = r"\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Commands of terminals, ends of lines that few readers know, and what makes the text around it run backwards."""

NOT_IN_LINES: Final = rf"\x00-\x1f{_DECEIVING}"
"""What no text of one line has, as a part of a regular expression."""

NOT_IN_TEXTS: Final = rf"\x00-\x08\x0b\x0c\x0e-\x1f{_DECEIVING}"
"""What no text of several lines has: the same, but tabs and ends of lines, ``\r`` among them."""

# Python reads halves of surrogate pairs from JSON; the expressions of schemas do not know them.
_ONE_LINE: Final = re.compile(rf"[^{NOT_IN_LINES}\ud800-\udfff]*")
_SEVERAL_LINES: Final = re.compile(rf"[^\r{NOT_IN_TEXTS}\ud800-\udfff]*")
_ENDS: Final = re.compile(r"\r\n?")


def is_line(text: str, most: int) -> bool:
    """Whether it is a text of one line, with 1 to so many characters, some of which can be seen."""
    return 0 < len(text) <= most and text == text.strip() and _ONE_LINE.fullmatch(text) is not None


def is_text(text: str, most: int) -> bool:
    """Whether it is a text of any lines, with up to so many characters and plain ends of lines."""
    return len(text) <= most and _SEVERAL_LINES.fullmatch(text) is not None


def with_plain_ends(text: str) -> str:
    r"""The text with ``\n`` at each end of a line, whatever its writer's system ends lines with."""
    return _ENDS.sub("\n", text)
