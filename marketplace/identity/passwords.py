"""Which passwords an account may have.

The rules are those of NIST SP 800-63B, section 5.1.1.2: length counts, kinds of characters do not; what attackers try
first is refused; no character is forbidden, and Unicode is normalised before it is hashed.
"""

from __future__ import annotations

import unicodedata
from typing import Final

MIN_CHARS: Final = 10
MAX_CHARS: Final = 128
"""Hashing takes time for each byte: a bound keeps one request from taking much of it."""

_MIN_DISTINCT: Final = 5
_MIN_PERSONAL_CHARS: Final = 4
_RUNS: Final = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_COMMON: Final = frozenset(
    {
        "administrator", "baseball123", "changeme123", "football123", "iloveyou123", "iloveyou12", "letmein123",
        "letmein1234", "masterpassword", "mypassword", "passw0rd12", "passw0rd123", "password01", "password11",
        "password12", "password123", "password1234", "password12345", "passwordpassword", "princess123",
        "q1w2e3r4t5", "1q2w3e4r5t", "1q2w3e4r5t6y", "qwerty12345", "qwerty123456", "qwertyuiop123", "secret1234",
        "starwars123", "sunshine123", "superman123", "trustno1234", "welcome123", "welcome1234", "whatever123",
        "zaq12wsxcde3", "1qaz2wsx3edc", "qazwsxedcrfv", "marketplace", "marketplace1", "marketplace123",
    }
)  # fmt: skip
"""Of lists of leaked passwords those that the other rules let through."""


class WeakPassword(ValueError):
    """A password is not accepted; the message says what to do and does not repeat it.

    Attributes:
        code: ``too_short``, ``too_long``, ``repetitive``, ``common`` or ``personal``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def normalized(password: str) -> str:
    """What is hashed: one person types the same letters as different code points on two keyboards."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, personal: tuple[str, ...] = ()) -> None:
    """Accept a new password.

    Args:
        password: As it was typed.
        personal: What others know of its owner: the address, the name.

    Raises:
        WeakPassword: It is not accepted.
    """
    text = normalized(password)
    if len(text) < MIN_CHARS:
        raise WeakPassword("too_short", f"use at least {MIN_CHARS} characters; a few words are easy to remember")
    if len(text) > MAX_CHARS:
        raise WeakPassword("too_long", f"use at most {MAX_CHARS} characters")
    folded = text.casefold()
    if len(set(folded)) < _MIN_DISTINCT or _is_run(folded):
        raise WeakPassword("repetitive", "use more different characters, not in the order of keys or letters")
    if folded in _COMMON:
        raise WeakPassword("common", "this one is among the first that attackers try; choose another one")
    for known in personal:
        for part in (known, known.partition("@")[0]):
            if len(part) >= _MIN_PERSONAL_CHARS and part.casefold() in folded:
                raise WeakPassword("personal", "do not use your name or your address in it")


def _is_run(folded: str) -> bool:
    """Whether it is a piece of a keyboard's row or of the alphabet, forwards or backwards, once or repeated."""
    return any(folded in run * (1 + len(folded) // len(run)) + run for row in _RUNS for run in (row, row[::-1]))
