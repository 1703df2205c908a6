"""Queries of the dead letters that the flow ``dead_letters`` has written, grouped by consumer, reason and topic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.clickhouse.client import ClickHouse
from marketplace.flows import DEAD_LETTERS_FLOW
from marketplace.tables import DEAD_LETTERS


@dataclass(frozen=True)
class DeadLetterGroup:
    """Records that one consumer gave up for one reason, from one topic.

    Attributes:
        consumer_group: The flow or consumer that gave them up, or the service that refused them.
        reason: The reason, as a code.
        topic: The topic of the records; of the letters, for what was never a record.
        letters_in: The dead-letter topic that has the bytes.
        records: The number of records.
        bytes: The total size of their payloads.
        first_seen, last_seen: UTC.
        example: The detail of one of them.
        stores: The number of stores, as far as they are known.
    """

    consumer_group: str
    reason: str
    topic: str
    letters_in: str
    records: int
    bytes: int
    first_seen: datetime
    last_seen: datetime
    example: str
    stores: int


class DeadLetterQueries:
    """Queries of the table ``dead_letters``.

    Args:
        clickhouse: Where it is.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def by_reason(self, store: str = "", topic: str = "", since: datetime | None = None) -> list[DeadLetterGroup]:
        """Dead letters by consumer, reason and topic, the most frequent first.

        Args:
            store: Of one store alone; empty for all.
            topic: Of one topic's records alone.
            since: Last seen at this time or later.

        Raises:
            Unavailable: ClickHouse does not answer.
            Refused: There is no such table yet.
        """
        # A record has a row for each partition of the letters' topic, and one for each copy until they are merged.
        rows = self._clickhouse.rows(
            "SELECT consumer_group, reason, topic, any(in_topic), "
            f"sum(if(consumer_group = '{DEAD_LETTERS_FLOW.group}', copies, 1)), "
            "sum(size), min(first), max(last), any(why), uniqExact(of_store) "
            "FROM ("
            "SELECT consumer_group, reason, topic, partition, offset, fingerprint, any(source_topic) AS in_topic, "
            "sum(letters) AS copies, max(bytes) AS size, min(first_seen) AS first, max(last_seen) AS last, "
            "any(detail) AS why, any(store) AS of_store "
            f"FROM {self._clickhouse.database}.{DEAD_LETTERS.name} "
            "GROUP BY consumer_group, reason, topic, partition, offset, fingerprint) "
            "WHERE (of_store = {store:String} OR {store:String} = '') "
            "AND (topic = {topic:String} OR {topic:String} = '') AND last >= {since:DateTime64(3, 'UTC')} "
            "GROUP BY consumer_group, reason, topic ORDER BY 5 DESC, 1, 2, 3",
            {"store": store, "topic": topic, "since": since or datetime(1970, 1, 1, tzinfo=UTC)},
        )
        return [DeadLetterGroup(*row[:6], *map(_utc, row[6:8]), *row[8:]) for row in rows]


def _utc(moment: datetime) -> datetime:
    """The time with its zone: the driver leaves it out where it is UTC."""
    return moment.replace(tzinfo=UTC)
