"""The parts' URLs, as plain data; ``runtime.sections`` reads them from the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ALL_PARTS: Final = ("kafka", "mongo", "clickhouse", "redis")


@dataclass(frozen=True)
class Urls:
    """The URLs of the four parts; ``kafka`` is a bootstrap list. Empty for a part that is not needed."""

    kafka: str
    mongo: str
    clickhouse: str
    redis: str

    def environment(self) -> dict[str, str]:
        """The environment variables with these URLs, for a child process."""
        return {
            "MARKETPLACE_KAFKA_URL": self.kafka,
            "MARKETPLACE_MONGO_URL": self.mongo,
            "MARKETPLACE_CLICKHOUSE_URL": self.clickhouse,
            "MARKETPLACE_REDIS_URL": self.redis,
        }
