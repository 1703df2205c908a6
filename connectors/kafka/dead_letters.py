"""Where a group consumer writes the records that its handler rejects."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.kafka.records import ConsumerRecord, Record, RecordProducer
from marketplace.dead_letters import PREFIX, DeadLetter, headers
from marketplace.errors import Reject


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
            self.group, rejection.reason, rejection.detail, "", record.topic, record.partition, record.offset, attempt
        )
        own = [pair for pair in record.headers if not pair[0].startswith(PREFIX)]
        rejected = Record(self.topic, record.value or b"", record.key, headers=(*own, *headers(letter)))
        self.producer.send_all([rejected], self.timeout_seconds)
