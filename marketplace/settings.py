"""Settings of every process, read once from a mapping that the entrypoint passes in."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

DEFAULT_DATA_DIR = ".marketplace"
ALL_PARTS = ("kafka", "mongo", "clickhouse", "redis")


class InvalidSettings(ValueError):
    """An environment variable has a value that cannot be used; the message names it."""


class MissingUrl(InvalidSettings):
    """Nobody says where a part is: neither the environment nor a running stack."""


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


@dataclass(frozen=True)
class Settings:
    """What a process needs to know about its surroundings."""

    urls: Urls
    data_dir: PurePosixPath
    database: str = "marketplace"
    geoip_file: str | None = None

    @staticmethod
    def load(
        environment: Mapping[str, str], fallback: Urls | None = None, needs: Collection[str] = ALL_PARTS
    ) -> Settings:
        """Read the environment.

        A variable that is empty says as much as one that is not there.

        Args:
            environment: The variables.
            fallback: Where the running embedded stack's parts are, if there is one.
            needs: The parts that the process cannot work without; of another one the URL may be empty.

        Raises:
            InvalidSettings: A value cannot be used.
            MissingUrl: The URL of a part that is needed is neither in the environment nor in ``fallback``.
        """

        def url(part: str, default: str | None) -> str:
            name = f"MARKETPLACE_{part.upper()}_URL"
            if part in needs:
                return _url(environment, name, default)
            return environment.get(name, "").strip() or default or ""

        return Settings(
            urls=Urls(
                kafka=url("kafka", fallback.kafka if fallback else None),
                mongo=url("mongo", fallback.mongo if fallback else None),
                clickhouse=url("clickhouse", fallback.clickhouse if fallback else None),
                redis=url("redis", fallback.redis if fallback else None),
            ),
            data_dir=PurePosixPath(_data_dir(environment)),
            database=_database(environment),
            geoip_file=environment.get("MARKETPLACE_GEOIP_FILE", "").strip() or None,
        )

    @staticmethod
    def load_mongo(environment: Mapping[str, str]) -> tuple[str, str]:
        """The URL of Mongo and the name of the database, for who needs nothing else; see :meth:`load`."""
        return _url(environment, "MARKETPLACE_MONGO_URL", None), _database(environment)


def _data_dir(environment: Mapping[str, str]) -> str:
    return environment.get("MARKETPLACE_DATA", "").strip() or DEFAULT_DATA_DIR


def _database(environment: Mapping[str, str]) -> str:
    database = environment.get("MARKETPLACE_DATABASE", "").strip() or "marketplace"
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", database):
        raise InvalidSettings(f"MARKETPLACE_DATABASE={database}: use a-z, 0-9 and _, not beginning with a digit")
    return database


def _url(environment: Mapping[str, str], name: str, default: str | None) -> str:
    value = environment.get(name, "").strip() or default
    if not value:
        raise MissingUrl(
            f"no {name} in the environment and no stack is running in {_data_dir(environment)}: "
            "start one with 'marketplace up', or name the folder of one with --data"
        )
    return value
