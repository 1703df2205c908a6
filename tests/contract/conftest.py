"""What contract tests share: ClickHouse over HTTP, and a group of consumers on Kafka and in memory."""

from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from ops.stack import Stack
from tests.kits.consumer import World, kafka_world, memory_world


@pytest.fixture(scope="module")
def client(clickhouse: Stack) -> Iterator[Client]:
    dsn = clickhouse.urls.clickhouse
    with clickhouse_connect.get_client(dsn=dsn, username="someone", password="anything", tz_mode="aware") as client:
        yield client


@pytest.fixture
def events(client: Client) -> Iterator[str]:
    client.command(
        "CREATE TABLE events (id UInt64, name String, at DateTime64(3, 'UTC'), price Nullable(Decimal(18, 2)))"
        " ENGINE = MergeTree ORDER BY id"
    )
    yield "events"
    client.command("DROP TABLE events")


@pytest.fixture(params=["memory", "kafka"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        with memory_world() as made:
            yield made
        return
    with kafka_world(request.getfixturevalue("stack")) as made:
        try:
            yield made
        finally:
            made.release()
