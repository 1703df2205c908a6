"""E-mail addresses as accounts know them."""

from __future__ import annotations

import re
from typing import Final

MAX_CHARS: Final = 254
"""RFC 5321, section 4.5.3.1.3: a path has 256 octets, two of them are the brackets."""

_LOCAL_CHARS: Final = 64
# The WHATWG's definition of a valid e-mail address, which browsers check in a field of type "email", as far as mail can
# be sent there: RFC 5321, section 4.1.2, takes a dot between other characters alone, and programs that read a head take
# "=?" for the beginning of an encoded word (RFC 2047).
_ADDRESS: Final = re.compile(
    r"(?!.*=\?)[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+"
)


class InvalidEmail(ValueError):
    """A text is no e-mail address; the message says so without repeating it."""


def checked_email(text: str) -> str:
    """An address as its owner wrote it, without spaces around it: mail goes there.

    A domain in another script is given in its ASCII form (``xn--``), as browsers send it.

    Raises:
        InvalidEmail: It is no address.
    """
    address = text.strip()
    local, _, _ = address.partition("@")
    if len(address) > MAX_CHARS or len(local) > _LOCAL_CHARS or not _ADDRESS.fullmatch(address):
        raise InvalidEmail("give an e-mail address, such as name@shop.example")
    return address


def email_key(address: str) -> str:
    """What tells two accounts apart: addresses that differ in case alone are one person's.

    Dots and ``+tags`` are kept: what they mean is for each mail server to say.
    """
    return address.lower()
