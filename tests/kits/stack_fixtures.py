"""One embedded stack for the whole test session, on free ports, in a temporary folder."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from ops.provision import ensure_provisioned
from ops.stack import Stack, StackError
from ops.stack.parts.kafka_archive import prepared_kafka
from runtime.sections import Settings
from tests.kits.secured_kafka import SecuredKafka, secured_kafka


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, MongoDB, ClickHouse and Redis; skips, with the reason, where Java or Maven is missing."""
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))
    # The environment's URLs may be production's: tests run on parts of their own.
    with Stack(tmp_path_factory.mktemp("stack"), ports="auto", external={}) as running:
        urls = running.urls
        ensure_provisioned(Settings(urls, PurePosixPath("unused")))
        yield running


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """Kafka that asks for a user over TLS; skips, with the reason, where Java or Maven is missing."""
    try:
        with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
            yield running
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """ClickHouse alone, for tests that need nothing else and may kill it."""
    with Stack(tmp_path_factory.mktemp("clickhouse"), ports="auto", parts={"clickhouse"}, external={}) as running:
        yield running
