from __future__ import annotations

import asyncio
import threading
import time
import unicodedata
from typing import Literal

import pytest

from api.identity.password_hashes import HashCost, PasswordHashes, TooManyLogins, Verified
from marketplace.identity.passwords import MAX_CHARS, check_password

CHEAP = HashCost(memory_kib=8, passes=1)
PASSWORD = "correct horse battery"


def test_the_right_password_matches_its_hash_and_no_other_does() -> None:
    async def work() -> None:
        hashes = PasswordHashes(CHEAP)
        stored = await hashes.hash(PASSWORD)
        assert stored.startswith("$argon2id$v=19$m=8,t=1,p=1$")
        assert PASSWORD not in stored
        assert await hashes.verify(stored, PASSWORD) == Verified(True)
        for wrong in ("", PASSWORD + " ", PASSWORD.upper(), "x" * 100_000):
            assert await hashes.verify(stored, wrong) == Verified(False)
        assert await hashes.hash(PASSWORD) != stored
        hashes.close()

    asyncio.run(work())


def test_the_same_letters_from_another_keyboard_match() -> None:
    async def work() -> None:
        hashes = PasswordHashes(CHEAP)
        stored = await hashes.hash(unicodedata.normalize("NFC", "Zürich-Straße"))
        assert (await hashes.verify(stored, unicodedata.normalize("NFD", "Zürich-Straße"))).matches
        hashes.close()

    asyncio.run(work())


LONG = "".join(chr(ord("a") + 7 * at % 26) for at in range(MAX_CHARS))


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("password", ["é" * 5 + "äöüßñ" * 24, "한국어비밀번호" * 18, "ﬁve ﬂat ﬃgures" * 7, LONG])
def test_every_password_that_is_accepted_signs_in_however_it_is_typed_and_with_nothing_behind_it(
    password: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]
) -> None:
    check_password(password)
    typed = unicodedata.normalize(form, password)

    async def work() -> None:
        hashes = PasswordHashes(CHEAP)
        stored = await hashes.hash(typed)
        assert (await hashes.verify(stored, typed)).matches
        assert (await hashes.verify(stored, password)).matches
        for wrong in (typed + "x", typed + "x" * 1_000, typed[:-1]):
            assert not (await hashes.verify(stored, wrong)).matches
        hashes.close()

    asyncio.run(work())


def test_a_hash_of_other_parameters_matches_and_is_outdated() -> None:
    async def work() -> None:
        old, new = PasswordHashes(CHEAP), PasswordHashes(HashCost(memory_kib=16, passes=1))
        assert await new.verify(await old.hash(PASSWORD), PASSWORD) == Verified(True, outdated=True)
        old.close()
        new.close()

    asyncio.run(work())


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$m=8", "$2b$12$abcdefghijklmnopqrstuv"])
def test_what_is_no_hash_matches_nothing_and_is_no_error(stored: str) -> None:
    async def work() -> None:
        hashes = PasswordHashes(CHEAP)
        assert await hashes.verify(stored, PASSWORD) == Verified(False)
        hashes.close()

    asyncio.run(work())


def test_a_password_of_nobody_matches_nothing_even_the_one_that_stands_in() -> None:
    async def work() -> None:
        hashes = PasswordHashes(CHEAP)
        assert await hashes.verify(None, "the password of nobody") == Verified(False)
        hashes.close()

    asyncio.run(work())


def test_the_event_loop_goes_on_while_passwords_are_hashed() -> None:
    async def work() -> float:
        hashes = PasswordHashes(HashCost(memory_kib=65_536, passes=4), threads=1)
        hashing = asyncio.ensure_future(hashes.hash(PASSWORD))
        longest, before = 0.0, time.monotonic()
        while not hashing.done():
            await asyncio.sleep(0.001)
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        hashes.close()
        return longest

    began = time.monotonic()
    longest = asyncio.run(work())
    assert longest < (time.monotonic() - began) / 2


def test_more_than_may_wait_are_refused_at_once_and_let_in_when_others_are_done() -> None:
    async def work() -> None:
        hashes = PasswordHashes(CHEAP, threads=1, most_waiting=1)
        at_work, go_on = threading.Event(), threading.Event()

        def occupy() -> bool:
            at_work.set()
            return go_on.wait(10)

        held = hashes._pool.submit(occupy)
        assert await asyncio.to_thread(at_work.wait, 10)
        waiting = asyncio.ensure_future(hashes.hash(PASSWORD))
        await asyncio.sleep(0)
        with pytest.raises(TooManyLogins):
            await hashes.hash(PASSWORD)
        go_on.set()
        assert (await waiting).startswith("$argon2id$")
        assert held.result(10)
        assert (await hashes.hash(PASSWORD)).startswith("$argon2id$")
        hashes.close()

    asyncio.run(work())
