"""Dead letters: one format for all topics.

The value is what could not be processed, unchanged or masked; the headers name the consumer that gave it up, the
reason, and its position. Producers write the headers of :func:`headers`; :func:`read` reads these and both earlier
formats, for as long as the topics keep them (90 days).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_DETAIL_CHARS: Final = 500
MAX_CODE_CHARS: Final = 249
"""Of groups, reasons and topics; as many as a topic's name may have in Kafka."""
MAX_PARTITION: Final = (1 << 31) - 1
PREFIX: Final = "dlq_"
"""Of all headers in the current format; those of a rejected record that begin so belong to an earlier letter of it."""
NOWHERE: Final = -1
"""Partition and offset of something that was never a record."""


@dataclass(frozen=True)
class DeadLetter:
    """The description of a record that was given up.

    Attributes:
        group: The consumer group of the flow or consumer that gave it up, or the service that refused it
            (``collector``, ``import``).
        reason: The reason, as one of few lower-case codes.
        detail: The reason, as a sentence.
        store: The slug of the store, if known.
        topic: The topic of the record; empty if it was never in one.
        partition, offset: Its position there; -1 if it had none.
        attempt: The number of attempts.
        version: The version of the rules or code that gave it up; empty if unknown.
        first_seen_ms: When it was first given up, epoch milliseconds; 0 if only the broker's time is known.
        stack: The hash of where in the code it failed: letters of one cause have the same; empty if unknown.
    """

    group: str
    reason: str
    detail: str = ""
    store: str = ""
    topic: str = ""
    partition: int = NOWHERE
    offset: int = NOWHERE
    attempt: int = 1
    version: str = ""
    first_seen_ms: int = 0
    stack: str = ""


def headers(letter: DeadLetter) -> tuple[tuple[str, bytes], ...]:
    """A letter's headers; unknown values are left out."""
    fields: list[tuple[str, str]] = [
        ("dlq_group", letter.group),
        ("dlq_reason", letter.reason),
        ("dlq_detail", letter.detail[:MAX_DETAIL_CHARS]),
        ("dlq_store", letter.store[:MAX_DETAIL_CHARS]),
        ("dlq_topic", letter.topic),
        ("dlq_partition", str(letter.partition) if letter.topic else ""),
        ("dlq_offset", str(letter.offset) if letter.topic else ""),
        ("dlq_attempt", str(letter.attempt)),
        ("dlq_version", letter.version),
        ("dlq_first_seen", str(letter.first_seen_ms) if letter.first_seen_ms else ""),
        ("dlq_stack", letter.stack),
    ]
    return tuple((name, text.encode("utf-8", "replace")) for name, text in fields if text)


def read(pairs: Iterable[tuple[str, bytes | None]]) -> DeadLetter:
    """The letter that headers describe, in the current format or an earlier one.

    Never raises: a header that is missing, unreadable or out of range counts as unknown, because nothing may be lost
    here. A letter without a known reason has the reason ``unknown``. Texts are cut to their bounds. In the current
    format only headers of its own are read: a letter also has those of the record, whatever they are called.
    """
    found = {name: (value or b"").decode("utf-8", "replace") for name, value in pairs}
    current = "dlq_group" in found

    def text(most: int, *names: str) -> str:
        known = (name for name in names if name.startswith(PREFIX) or not current)
        return next((found[name][:most] for name in known if found.get(name)), "")

    topic = text(MAX_CODE_CHARS, "dlq_topic", "source_topic")
    partition = _number(text(20, "dlq_partition", "source_partition"), NOWHERE, MAX_PARTITION)
    offset = _number(text(20, "dlq_offset", "source_offset"), NOWHERE)
    return DeadLetter(
        group=text(MAX_CODE_CHARS, "dlq_group", "dlq_source")
        or (f"flows.{_CLICKS}" if "source_topic" in found else "unknown"),
        reason=text(MAX_CODE_CHARS, "dlq_reason", "reason") or "unknown",
        detail=text(MAX_DETAIL_CHARS, "dlq_detail", "dlq_message", "detail"),
        store=text(MAX_DETAIL_CHARS, "dlq_store", "store"),
        topic=topic,
        partition=partition if topic else NOWHERE,
        offset=offset if topic else NOWHERE,
        attempt=_number(text(20, "dlq_attempt"), 1),
        version=text(MAX_DETAIL_CHARS, "dlq_version"),
        first_seen_ms=_number(text(20, "dlq_first_seen"), 0),
        stack=text(MAX_CODE_CHARS, "dlq_stack"),
    )


_CLICKS: Final = "clicks"
"""The only flow that wrote letters before they had a group."""


_LARGEST: Final = 10**18 - 1


def _number(text: str, default: int, largest: int = _LARGEST) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        return default
    return int(text) if int(text) <= largest else default
