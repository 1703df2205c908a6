"""Signatures of webhooks: HMAC-SHA256 over the time and the exact bytes, as ``t=<seconds>,v1=<hexadecimal digits>``.

A header may have several of them, and several secrets may be good at one time, so that a secret is replaced without a
webhook being refused. What a signature is of another scheme (``v0=``) does not count.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Final

TOLERANCE_SECONDS: Final = 300
"""A signature that is older, or of so far in the future, is refused: whoever recorded one cannot send it later."""

HEADER: Final = "webhook-signature"
_MAX_CHARS: Final = 1_024
_TIME: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def signature(secret: str, raw: bytes, at_seconds: int) -> str:
    """The header of some bytes."""
    return f"t={at_seconds},v1={_digest(secret, raw, at_seconds)}"


def is_signed(header: str, raw: bytes, secrets: Iterable[str], now_seconds: float) -> bool:
    """Whether bytes come from somebody who has one of the secrets, and come now.

    Args:
        header: The value of the header.
        raw: The bytes as they came.
        secrets: Those that are good; empty ones never are.
        now_seconds: Since 1970.
    """
    if len(header) > _MAX_CHARS:
        return False
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    found = [value for name, _, value in parts if name == "v1" and _DIGEST.fullmatch(value)]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        return False
    at = int(times[0])
    wanted = [_digest(secret, raw, at) for secret in secrets if secret]
    # All of them are compared, in constant time: how long it takes says nothing.
    same = [hmac.compare_digest(one, other) for one in wanted for other in found]
    return any(same) and abs(now_seconds - at) <= TOLERANCE_SECONDS


def _digest(secret: str, raw: bytes, at_seconds: int) -> str:
    return hmac.digest(secret.encode(), b"%d." % at_seconds + raw, "sha256").hex()
