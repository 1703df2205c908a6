"""ClickHouse's error codes, and the HTTP status its server answers with for each."""

import re
from typing import Final

SYNTAX_ERROR: Final = 62
UNKNOWN_EXCEPTION: Final = 1002
BAD_ARGUMENTS: Final = 36
CANNOT_OPEN_FILE: Final = 76
NOT_IMPLEMENTED: Final = 48
QUERY_IS_TOO_LARGE: Final = 229
READONLY: Final = 164
ACCESS_DENIED: Final = 497
TOO_MANY_SIMULTANEOUS_QUERIES: Final = 202
SESSION_NOT_FOUND: Final = 372
SESSION_IS_LOCKED: Final = 373
UNKNOWN_COMPRESSION_METHOD: Final = 89

# ClickHouse's exceptionCodeToHTTPStatus.cpp as of 2026-11; its default is 500. A full queue answers 503 although the
# server says 500 there: clients retry a 503, and nothing of the query has run.
_BAD_REQUEST: Final = frozenset(
    {6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676}
)
_NOT_FOUND: Final = frozenset({46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511})
_FORBIDDEN: Final = frozenset({192, 193, 497, 512, 516})
_STATUS: Final = {48: 501, 76: 503, 159: 408, 194: 401, 202: 503, 209: 503, 229: 413, 381: 411, 439: 503, 779: 415}
_CODE: Final = re.compile(r"Code: (\d+)\. ")


class QueryError(Exception):
    """A query that failed: the caller gets ClickHouse's code, name and message; nothing was applied by it.

    Attributes:
        code: ClickHouse's error code.
        message: the text after `DB::Exception:`, or a whole message of the engine.
    """

    def __init__(self, code: int, message: str, name: str = "") -> None:
        super().__init__(code, message, name)
        self.code = code
        self.message = message
        self.name = name

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        if self.code in _BAD_REQUEST:
            return 400
        if self.code in _NOT_FOUND:
            return 404
        if self.code in _FORBIDDEN:
            return 403
        return _STATUS.get(self.code, 500)

    def body(self, version: str) -> bytes:
        """The answer's body, as the server writes it."""
        text = self.message
        if not _CODE.match(text):
            text = f"Code: {self.code}. DB::Exception: {text}." + (f" ({self.name})" if self.name else "")
        return f"{text} (version {version} (chDB))\n".encode("utf-8", "surrogateescape")


def from_engine(message: str) -> QueryError:
    """The error behind a message of the engine, which carries its code in the text."""
    match = _CODE.search(message)
    if match is None:
        return QueryError(UNKNOWN_EXCEPTION, message, "UNKNOWN_EXCEPTION")
    text = re.sub(r" \(version [^()]*\)", "", message[match.start() :]).strip()
    # An insert wraps what it raised once more: the same code and prefix twice.
    text = re.sub(r"^(Code: \d+\. DB::Exception: )\1", r"\1", text)
    return QueryError(int(match.group(1)), text)
