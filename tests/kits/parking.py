"""Parked events in memory, for laws: what connectors/mongo/sagas/parking.py keeps in Mongo."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.mongo.sagas.parking import Parked


@dataclass
class MemoryParked:
    """The rows of one consumer, which several processes share."""

    consumer: str = "orders"
    rows: dict[str, Parked] = field(default_factory=dict)
    asked: int = 0

    def first(self, key: str) -> Parked | None:
        self.asked += 1
        return next(iter(self.of_key(key)), None)

    def of_key(self, key: str) -> list[Parked]:
        rows = (row for row in self.rows.values() if row.key == key)
        return sorted(rows, key=lambda row: (row.record.partition, row.record.offset))

    def park(self, parked: Parked) -> None:
        self.rows.setdefault(parked.id, parked)

    def park_behind(self, first: Parked, parked: Parked) -> bool:
        if first.id in self.rows:
            self.rows.setdefault(parked.id, parked)
        return first.id in self.rows

    def some_keys(self, limit: int) -> list[str]:
        return sorted({row.key for row in self.rows.values()})[:limit]
