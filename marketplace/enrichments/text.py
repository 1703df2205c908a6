"""Cleans text of an enrichment before it becomes a column."""

from __future__ import annotations

import re
from typing import Final

MAX_VALUE_CHARS: Final = 120
"""The maximum length of an enriched value, because reports group by it."""

# Controls, line and paragraph separators, bidirectional overrides, the byte-order mark and lone surrogates: none
# belongs in a label, and the last cannot be encoded as UTF-8.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)


def label(value: str) -> str:
    """One line of printable text of at most ``MAX_VALUE_CHARS``; runs of unprintable characters become one space."""
    if value.isascii() and value.isprintable():
        return value[:MAX_VALUE_CHARS].strip()
    # Cut first, so that 10 MB of nonsense cost no more than a label does.
    return _UNPRINTABLE.sub(" ", value[: 2 * MAX_VALUE_CHARS]).strip()[:MAX_VALUE_CHARS].strip()
