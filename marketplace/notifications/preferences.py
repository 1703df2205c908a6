"""What an account wants to get by mail, and the links in mails that change it without signing in."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

SECRET_BYTES: Final = 32
_PROOF_BYTES: Final = 24
_TOKEN: Final = re.compile(r"([0-9A-Za-z_-]{1,64})\.([0-9A-Za-z_-]{32})")


@dataclass(frozen=True)
class Preferences:
    """What an account wants to get by mail. Mails about the account itself always come.

    Attributes:
        orders_by_mail: Whether mails about orders come: its own ones, and those of stores that it owns.
    """

    orders_by_mail: bool = True


def unsubscribe_token(user: str, secret: bytes) -> str:
    """What is in the link of an account's mails; it is worth something for as long as the account has this secret.

    Args:
        user: The id of the account.
        secret: Of the account, and of nothing else.
    """
    proof = hmac.digest(secret, f"unsubscribe\0{user}".encode(), "sha256")[:_PROOF_BYTES]
    return f"{user}.{urlsafe_b64encode(proof).decode()}"


def user_of_token(token: str) -> str:
    """The account that a token names; empty where it is none. Whoever reads it compares the whole token then."""
    found = _TOKEN.fullmatch(token)
    return "" if found is None else found[1]


def is_token_of(token: str, user: str, secret: bytes) -> bool:
    """Whether a token was made with an account's secret; compared in constant time."""
    return hmac.compare_digest(token.encode(), unsubscribe_token(user, secret).encode())
