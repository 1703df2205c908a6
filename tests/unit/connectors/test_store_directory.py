"""What a directory of stores remembers, how far it believes it, and when Mongo has to be asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mongo.store_directory import Need, StoreDirectory, find_by_import_key
from connectors.mongo.stores import MemoryStores
from marketplace.stores import hash_write_key, import_key
from tests.kits.collector import SHOP, WRITE_KEY

NEW = replace(SHOP, title="New title")


def made(**bounds: float) -> StoreDirectory:
    directory = StoreDirectory(MemoryStores(), **bounds)  # type: ignore[arg-type]  # any bounds
    directory.learn(WRITE_KEY, SHOP, 0.0)
    return directory


def test_a_key_that_was_never_seen_has_to_be_looked_up() -> None:
    assert StoreDirectory(MemoryStores()).recall("key", 0.0) == (None, Need.LOOKUP)


def test_a_young_answer_is_used_and_an_old_one_too_while_it_is_asked_for_again() -> None:
    directory = made()

    assert directory.recall(WRITE_KEY, 4.9) == (SHOP, Need.NOTHING)
    assert directory.recall(WRITE_KEY, 5.0) == (SHOP, Need.REFRESH)


@given(st.lists(st.floats(0.001, 9.999), min_size=1, max_size=200))
def test_a_store_in_use_is_known_for_as_long_as_nothing_is_learned(pauses: list[float]) -> None:
    directory, now = made(), 0.0
    for pause in pauses:
        now += pause
        store, need = directory.recall(WRITE_KEY, now)
        assert store == SHOP
        assert need in (Need.NOTHING, Need.REFRESH)


@given(st.floats(10.0, 1e6))
def test_a_store_that_was_idle_is_looked_up_before_it_is_believed_by_everybody(pause: float) -> None:
    directory = made()
    assert [directory.recall(WRITE_KEY, pause) for _ in range(2)] == [(SHOP, Need.LOOKUP)] * 2


def test_an_idle_store_that_cannot_be_looked_up_is_in_use_again() -> None:
    directory = made()
    assert directory.fall_back(WRITE_KEY, 1e6) == SHOP
    assert directory.recall(WRITE_KEY, 1e6 + 9) == (SHOP, Need.REFRESH)
    assert directory.fall_back("never seen", 0.0) is None


def test_what_was_learned_last_counts_from_when_it_came() -> None:
    directory = made()
    directory.learn(WRITE_KEY, NEW, 100.0)
    assert directory.recall(WRITE_KEY, 104.9) == (NEW, Need.NOTHING)


def test_a_key_that_was_taken_from_a_store_is_unknown_at_once_and_asked_for_again_later() -> None:
    directory = made()
    directory.learn(WRITE_KEY, None, 5.0)

    assert directory.recall(WRITE_KEY, 5.0) == directory.recall(WRITE_KEY, 9.9) == (None, Need.NOTHING)
    assert directory.recall(WRITE_KEY, 10.0) == (None, Need.LOOKUP)
    assert directory.fall_back(WRITE_KEY, 10.0) is None


def test_a_key_that_is_given_to_a_store_is_known_when_it_is_learned() -> None:
    directory = StoreDirectory(MemoryStores())
    directory.learn(WRITE_KEY, None, 0.0)
    directory.learn(WRITE_KEY, SHOP, 1.0)
    assert directory.recall(WRITE_KEY, 1.0) == (SHOP, Need.NOTHING)


@pytest.mark.parametrize("store", [None, SHOP])
def test_a_flood_of_keys_is_remembered_within_a_bound(store: None) -> None:
    directory = StoreDirectory(MemoryStores(), max_cached=100)
    for number in range(1_000):
        directory.learn(f"key {number}", store, 0.0)

    assert directory.recall("key 900", 1.0) == (store, Need.NOTHING)
    assert directory.recall("key 899", 1.0) == (None, Need.LOOKUP)


def test_looking_up_asks_the_book_and_remembers_nothing() -> None:
    book = MemoryStores()
    book.create_store(SHOP)
    directory = StoreDirectory(book)

    assert directory.look_up(WRITE_KEY) == SHOP
    assert directory.recall(WRITE_KEY, 0.0) == (None, Need.LOOKUP)


def test_a_directory_of_import_keys_does_not_know_write_keys() -> None:
    book, key = MemoryStores(), import_key("shop", "6b" * 16)
    book.create_store(replace(SHOP, import_key_hash=hash_write_key(key)))
    directory = StoreDirectory(book, find_by_import_key)

    found = directory.look_up(key)
    assert (found.slug if found else None, directory.look_up(WRITE_KEY)) == ("shop", None)


def test_threads_can_share_a_directory() -> None:
    directory = StoreDirectory(MemoryStores(), max_cached=50)

    def work(thread: int) -> None:
        for number in range(2_000):
            key = f"key {(number * 7 + thread) % 120}"
            directory.learn(key, SHOP if number % 3 else None, float(number))
            directory.recall(key, float(number))
            directory.fall_back(key, float(number))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == [None] * 4
    found = [directory.recall(f"key {number}", 2_000.0)[0] for number in range(120)]
    assert sum(store is not None for store in found) <= 50
