"""The contract of a Mongo that hangs or crawls, kept by the real books and their twins: the deadline is a promise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connectors.errors import Unavailable
from tests.contract.hangs import DEADLINE_SECONDS, PATIENCE_SECONDS, Moody, moody_mongo, moody_twins
from tests.kits.collector import SHOP

NOW = datetime.now(UTC).replace(microsecond=0)
SLACK_SECONDS = 1.0
OTHER = replace(SHOP, slug="other", write_key_hash="0" * 64)

QUESTIONS: dict[str, Callable[[Moody], object]] = {
    "get": lambda moody: moody.stores.get("shop"),
    "by_write_key_hash": lambda moody: moody.stores.by_write_key_hash(SHOP.write_key_hash),
    "read": lambda moody: moody.stores.read(()),
    "list_stores": lambda moody: moody.stores.list_stores(),
    "create_store": lambda moody: moody.stores.create_store(OTHER),
    "edit": lambda moody: moody.stores.edit("shop", lambda _: {"title": "New"}),
    "salt": lambda moody: moody.salts.get("shop", "2026-01-31", NOW),
}


@pytest.fixture(params=["memory", "mongo"])
def moody(request: pytest.FixtureRequest) -> Iterator[Moody]:
    if request.param == "memory":
        made = moody_twins()
        made.stores.create_store(SHOP)
        yield made
        made.release()
        return
    with moody_mongo(request.getfixturevalue("stack").urls.mongo) as made:
        made.stores.create_store(SHOP)
        yield made


def seconds_until_unavailable(moody: Moody, question: Callable[[Moody], object]) -> float:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        question(moody)
    return time.monotonic() - began


def test_every_question_to_a_mongo_that_hangs_is_unavailable_at_its_deadline(moody: Moody) -> None:
    moody.hang()

    with ThreadPoolExecutor(len(QUESTIONS)) as threads:
        waited = list(threads.map(lambda question: seconds_until_unavailable(moody, question), QUESTIONS.values()))

    assert max(waited) < DEADLINE_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("name", ["get", "read", "salt"])
def test_a_mongo_that_crawls_past_the_deadline_is_unavailable_in_time(moody: Moody, name: str) -> None:
    moody.crawl(3 * DEADLINE_SECONDS)

    assert seconds_until_unavailable(moody, QUESTIONS[name]) < DEADLINE_SECONDS + SLACK_SECONDS
    moody.crawl(0.0)


@pytest.mark.parametrize("name", ["get", "read", "salt"])
def test_a_mongo_that_crawls_within_the_deadline_answers_late(moody: Moody, name: str) -> None:
    QUESTIONS[name](moody)
    moody.crawl(DEADLINE_SECONDS / 5)

    began = time.monotonic()
    QUESTIONS[name](moody)

    assert DEADLINE_SECONDS / 5 <= time.monotonic() - began < DEADLINE_SECONDS + SLACK_SECONDS


def test_a_mongo_that_hung_answers_again_by_itself(moody: Moody) -> None:
    moody.hang()
    seconds_until_unavailable(moody, QUESTIONS["get"])
    moody.release()

    deadline = time.monotonic() + PATIENCE_SECONDS
    answered = False
    while not answered:
        try:
            answered = moody.stores.get("shop") == SHOP
        except Unavailable:
            assert time.monotonic() < deadline


def test_a_question_that_hangs_is_answered_if_mongo_goes_on_in_time(moody: Moody) -> None:
    moody.stores.get("shop")
    moody.hang()
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(moody.stores.get, "shop")
        moody.release()
        assert asked.result(PATIENCE_SECONDS) == SHOP
