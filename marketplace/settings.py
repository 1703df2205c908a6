"""Where the parts are, as plain data; ``runtime.sections`` reads it from the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ALL_PARTS: Final = ("kafka", "mongo", "clickhouse", "redis")


@dataclass(frozen=True)
class Urls:
    """Where the four parts are. ``kafka`` is a bootstrap list, the others are URLs; empty where one is not needed."""

    kafka: str
    mongo: str
    clickhouse: str
    redis: str

    def environment(self) -> dict[str, str]:
        """The variables that hand these URLs to a child process."""
        return {
            "MARKETPLACE_KAFKA_URL": self.kafka,
            "MARKETPLACE_MONGO_URL": self.mongo,
            "MARKETPLACE_CLICKHOUSE_URL": self.clickhouse,
            "MARKETPLACE_REDIS_URL": self.redis,
        }
