"""Where a group consumer writes the records that its handler rejects."""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import dataclass
from typing import Final

from connectors.kafka.records import ConsumerRecord, Record, RecordProducer
from marketplace.dead_letters import PREFIX, DeadLetter, headers
from marketplace.errors import Reject

_STACK_CHARS: Final = 16


@dataclass(frozen=True)
class DeadLetterWriter:
    """Writes rejected records to a dead-letter topic.

    Attributes:
        producer: Sends the letters.
        topic: The name of the topic.
        group: Who gives records up: the consumer group.
        timeout_seconds: How long to wait for an acknowledgement.
    """

    producer: RecordProducer
    topic: str
    group: str
    timeout_seconds: float = 5.0

    def write(self, record: ConsumerRecord, rejection: Reject, attempt: int) -> None:
        """Write a record with its exact bytes, key and headers, and what is known of its rejection in further headers.

        Headers of an earlier letter of the same record are replaced.

        Args:
            record: What was rejected.
            rejection: Why.
            attempt: How often it was tried, this time included.

        Raises:
            Unavailable: It was not acknowledged in time; it may be there all the same.
            Refused: It will never be taken; it is too large, for example.
        """
        letter = DeadLetter(
            self.group,
            rejection.reason,
            rejection.detail,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            attempt=attempt,
            stack=stack_hash(rejection),
        )
        own = [pair for pair in record.headers if not pair[0].startswith(PREFIX)]
        rejected = Record(self.topic, record.value or b"", record.key, headers=(*own, *headers(letter)))
        self.producer.send_all([rejected], self.timeout_seconds)


def stack_hash(error: BaseException) -> str:
    """The same for all errors that came about in one way: their types, and the functions that they went through.

    Lines of code are no part of it, so that a change elsewhere in a file does not make one cause look like two.
    """
    parts: list[str] = []
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        parts.append(f"{type(found).__module__}.{type(found).__qualname__}")
        for frame, _ in traceback.walk_tb(found.__traceback__):
            parts.append(f"{frame.f_globals.get('__name__', '')}:{frame.f_code.co_qualname}")
        found = found.__cause__
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_STACK_CHARS]
