"""Where a group consumer writes the records that its handler rejects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connectors.kafka.records import ConsumerRecord, Record, RecordProducer
from marketplace.errors import Reject

_MAX_DETAIL_CHARS: Final = 500


@dataclass(frozen=True)
class DeadLetters:
    """A dead-letter topic.

    Attributes:
        producer: Writes to it.
        topic: Its name.
        group: Who gives records up: the consumer group.
        timeout_seconds: How long to wait for an acknowledgement.
    """

    producer: RecordProducer
    topic: str
    group: str
    timeout_seconds: float = 5.0

    def write(self, record: ConsumerRecord, rejection: Reject, attempt: int) -> None:
        """Write a record with its exact bytes, key and headers, and what is known of its rejection in further headers.

        Args:
            record: What was rejected.
            rejection: Why.
            attempt: How often it was tried, this time included.

        Raises:
            Unavailable: It was not acknowledged in time; it may be there all the same.
            Refused: It will never be taken; it is too large, for example.
        """
        fields = {
            "dlq_group": self.group,
            "dlq_reason": rejection.reason,
            "dlq_detail": rejection.detail[:_MAX_DETAIL_CHARS],
            "dlq_topic": record.topic,
            "dlq_partition": str(record.partition),
            "dlq_offset": str(record.offset),
            "dlq_attempt": str(attempt),
        }
        headers = [(name, text.encode("utf-8", "replace")) for name, text in fields.items() if text]
        letter = Record(self.topic, record.value or b"", record.key, headers=(*record.headers, *headers))
        self.producer.send_all([letter], self.timeout_seconds)
