"""Requests that are done once, however often they are sent: what a key stands for, and what its next request gets.

A key belongs to its caller and to the first request that came with it. What is kept of a request is its answer, and
only where something was changed: whoever was refused can repair the cause and use the key again. See docs/adr/0033.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

HEADER: Final = "Idempotency-Key"
MAX_KEY_CHARS: Final = 255
KEPT_SECONDS: Final = 48 * 3_600
"""How long an answer is kept; 24 hours are promised."""

LEASE_SECONDS: Final = 30
"""How long a request may take. It is longer than the API works for one; after it the next request does the work."""

_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}")


class InvalidKey(ValueError):
    """The key is none; the message says what one is."""


class LeaseLost(Exception):
    """Another request of the same key does the work by now, so nothing was changed by this one."""


def checked_key(text: str) -> str:
    """A key as it was sent.

    Raises:
        InvalidKey: It is empty, too long, or has characters that cannot be seen.
    """
    if not _KEY.fullmatch(text):
        raise InvalidKey(f"give 1 to {MAX_KEY_CHARS} visible characters of ASCII")
    return text


def row_id(caller: str, key: str) -> str:
    """Where a key is kept: nobody can use the one of another caller, or see that there is one.

    Args:
        caller: An account or an API key, and of pages which form; a colon ends it.
        key: Checked.
    """
    return f"{caller}:{sha256(key.encode()).hexdigest()}"


def fingerprint(method: str, route: str, path: Mapping[str, str], body: Any) -> str:
    """What a request asks for: the same for all ways to write it.

    Args:
        method: Of the request.
        route: The template of its path.
        path: The values of the path's parameters.
        body: As JSON has it; None for none.
    """
    asked = [method, route, dict(path), _plain(body)]
    return sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The value with each number written in one way: 1.0 and 1e0 are 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class StoredAnswer:
    """What was answered.

    Attributes:
        status: The HTTP status.
        body: JSON.
        location: The path of what was made; empty for none.
    """

    status: int
    body: str
    location: str = ""


@dataclass(frozen=True)
class Attempt:
    """What is kept of a key.

    Attributes:
        fingerprint: Of its request.
        owner: Which attempt is at it.
        lease_until_ms: Until when no other one is.
        answer: None while it is under way.
    """

    fingerprint: str
    owner: str
    lease_until_ms: int
    answer: StoredAnswer | None = None


class Next(StrEnum):
    """What a request with a key gets."""

    WORK = "work"
    """It is the first one, or the one before has ended without a trace: it does the work."""
    ANSWER = "answer"
    """What was answered before."""
    WAIT = "wait"
    """Another one is at it."""
    OTHER = "other"
    """The key belongs to another request."""


def next_of(kept: Attempt | None, asked: str, now_ms: int) -> Next:
    """What a request gets.

    Args:
        kept: What is kept of its key; None for nothing.
        asked: Its fingerprint.
        now_ms: The time.
    """
    if kept is None:
        return Next.WORK
    if kept.fingerprint != asked:
        return Next.OTHER
    if kept.answer is not None:
        return Next.ANSWER
    return Next.WAIT if now_ms < kept.lease_until_ms else Next.WORK


def wait_seconds(kept: Attempt, now_ms: int) -> int:
    """How long the attempt that is at it may take still, at least a second."""
    return max(1, -(-(kept.lease_until_ms - now_ms) // 1_000))
