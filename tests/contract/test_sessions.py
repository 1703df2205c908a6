"""Sessions in Redis: the rule of refresh tokens, whoever presents them how often and at one time."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import Unavailable
from connectors.redis.sessions import MAX_CONNECTIONS, MAX_SESSIONS, Sessions, connect_async
from marketplace.identity.refresh import Family, Presented, hash_of, present
from ops.stack import Stack
from runtime.ports import free_ports
from tests.kits.tcp_proxy import TcpProxy

T = TypeVar("T")


def run(
    url: str,
    work: Callable[[Sessions], Awaitable[T]],
    lifetime: float = 60.0,
    grace: float = 30.0,
    max_connections: int = MAX_CONNECTIONS,
) -> T:
    """Work with sessions in an event loop of its own."""

    async def whole() -> T:
        client = connect_async(url, max_connections)
        try:
            return await work(Sessions(client, lifetime, grace))
        finally:
            await client.aclose()

    return asyncio.run(whole())


@pytest.fixture
def user() -> str:
    return uuid.uuid4().hex


@given(presented=st.lists(st.integers(0, 6), max_size=12))
@settings(max_examples=40)
def test_the_script_decides_as_the_rule_does(stack: Stack, presented: list[int]) -> None:
    async def work(sessions: Sessions) -> None:
        user, session, tokens = uuid.uuid4().hex, "s1", ["first"]
        family = Family(hash_of("first"), time.time() + 60)
        await sessions.create(user, session, "first")
        for number in presented:
            token = tokens[number] if number < len(tokens) else f"unknown-{number}"
            salt = secrets.token_hex(16)
            expected, family = present(family, token, salt, time.time())
            found = await sessions.refresh(user, session, token, salt)
            assert found.presented is expected
            if expected is Presented.CURRENT:
                tokens.append(found.successor)
            assert (found.successor == tokens[-1]) == (expected in (Presented.CURRENT, Presented.PREVIOUS))
            assert (await sessions.security_stamp_of(user, session) is None) is family.revoked

    run(stack.urls.redis, work)


def test_more_calls_at_one_time_than_there_are_connections_wait_and_are_answered(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        calls = (sessions.security_stamp_of(user, "s1") for _ in range(300))
        assert None not in await asyncio.gather(*calls)

    run(stack.urls.redis, work, max_connections=10)


def test_twenty_refreshes_at_one_time_have_one_successor(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        calls = (sessions.refresh(user, "s1", "first", secrets.token_hex(16)) for _ in range(20))
        found = await asyncio.gather(*calls)
        assert [each.presented for each in found].count(Presented.CURRENT) == 1
        assert [each.presented for each in found].count(Presented.PREVIOUS) == 19
        assert len({each.successor for each in found}) == 1
        again = await sessions.refresh(user, "s1", found[0].successor, secrets.token_hex(16))
        assert again.presented is Presented.CURRENT

    run(stack.urls.redis, work)


def test_a_reused_token_ends_its_session_and_no_other_one_of_the_user(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        await sessions.create(user, "s2", "other")
        second = (await sessions.refresh(user, "s1", "first", "a" * 32)).successor
        await sessions.refresh(user, "s1", second, "b" * 32)
        assert (await sessions.refresh(user, "s1", "first", "c" * 32)).presented is Presented.REUSED
        assert await sessions.security_stamp_of(user, "s1") is None
        assert (await sessions.refresh(user, "s1", second, "d" * 32)).presented is Presented.ENDED
        assert (await sessions.refresh(user, "s2", "other", "e" * 32)).presented is Presented.CURRENT
        assert [each.id for each in await sessions.list_sessions(user)] == ["s2"]

    run(stack.urls.redis, work)


def test_the_previous_token_is_a_stolen_one_after_the_grace(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        await sessions.refresh(user, "s1", "first", "a" * 32)
        assert (await sessions.refresh(user, "s1", "first", "b" * 32)).presented is Presented.REUSED

    run(stack.urls.redis, work, grace=0.0)


def test_a_session_ends_by_itself_and_leaves_no_key(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        deadline = time.monotonic() + 10
        while await sessions.security_stamp_of(user, "s1") is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert (await sessions.refresh(user, "s1", "first", "a" * 32)).presented is Presented.ENDED
        assert await sessions.list_sessions(user) == []

    run(stack.urls.redis, work, lifetime=0.2)


def test_a_user_sees_the_sessions_and_ends_one_or_all_but_the_own(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        for name in ("s1", "s2", "s3", "s4"):
            await sessions.create(user, name, f"token of {name}", "Firefox on Linux", "203.0.113.0")
        listed = await sessions.list_sessions(user)
        assert {each.id for each in listed} == {"s1", "s2", "s3", "s4"}
        assert {(each.client, each.network) for each in listed} == {("Firefox on Linux", "203.0.113.0")}
        assert await sessions.end(user, "s4")
        assert not await sessions.end(user, "s4")
        assert not await sessions.end(user, "unknown")
        assert await sessions.end_all(user, but="s1") == 2
        assert [each.id for each in await sessions.list_sessions(user)] == ["s1"]
        assert await sessions.end_all(user) == 1
        assert await sessions.list_sessions(user) == []
        assert (await sessions.refresh(user, "s1", "token of s1", "a" * 32)).presented is Presented.ENDED

    run(stack.urls.redis, work)


def test_a_session_keeps_the_number_of_its_account_unless_all_others_end(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        for name in ("s1", "s2"):
            await sessions.create(user, name, f"token of {name}", security_stamp=3)
        assert await sessions.security_stamp_of(user, "s1") == 3
        found = await sessions.refresh(user, "s1", "token of s1", "a" * 32)
        again = await sessions.refresh(user, "s1", "token of s1", "b" * 32)
        assert (found.security_stamp, again.security_stamp) == (3, 3)
        assert await sessions.end_all(user, but="s1", security_stamp=4) == 1
        assert [await sessions.security_stamp_of(user, name) for name in ("s1", "s2", "unknown")] == [4, None, None]
        assert [(each.id, each.security_stamp) for each in await sessions.list_sessions(user)] == [("s1", 4)]
        assert await sessions.end(user, "s1")
        assert await sessions.end_all(user, but="s1", security_stamp=5) == 0
        assert await sessions.security_stamp_of(user, "s1") is None

    run(stack.urls.redis, work)


def test_an_end_of_all_that_comes_late_ends_none_that_was_begun_or_kept_after_it(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        for name, number in (("older", 3), ("own", 3), ("same", 4), ("newer", 5)):
            await sessions.create(user, name, f"token of {name}", security_stamp=number)
        assert await sessions.end_all(user, but="own", security_stamp=4) == 1
        assert await sessions.end_all(user, but="own", security_stamp=5) == 1
        assert await sessions.end_all(user, but="own", security_stamp=4) == 0
        assert {each.id: each.security_stamp for each in await sessions.list_sessions(user)} == {"own": 5, "newer": 5}
        assert await sessions.end_all(user) == 2
        assert await sessions.list_sessions(user) == []

    run(stack.urls.redis, work)


def test_what_is_known_of_a_client_goes_with_its_session(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        names = ("ended", "all", "stolen", "kept")
        for name in names:
            await sessions.create(user, name, f"token of {name}", "Firefox", "203.0.113.0/24")
        await sessions.end(user, "ended")
        successor = (await sessions.refresh(user, "stolen", "token of stolen", "a" * 32)).successor
        await sessions.refresh(user, "stolen", successor, "b" * 32)
        assert (await sessions.refresh(user, "stolen", "token of stolen", "c" * 32)).presented is Presented.REUSED
        await sessions.end_all(user, but="kept", security_stamp=2)
        client = connect_async(stack.urls.redis)
        known = [await client.hmget(f"session:{{{user}}}:{name}", ["client", "network"]) for name in names]
        await client.aclose()
        assert known == [[None, None]] * 3 + [[b"Firefox", b"203.0.113.0/24"]]

    run(stack.urls.redis, work)


def test_a_session_that_was_stored_before_there_were_numbers_has_none_that_an_account_has(
    stack: Stack, user: str
) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        client = connect_async(stack.urls.redis)
        assert await client.hdel(f"session:{{{user}}}:s1", "security_stamp") == 1
        await client.aclose()
        assert await sessions.security_stamp_of(user, "s1") == 0
        assert [each.security_stamp for each in await sessions.list_sessions(user)] == [0]
        found = await sessions.refresh(user, "s1", "first", "a" * 32)
        again = await sessions.refresh(user, "s1", "first", "b" * 32)
        assert (found.security_stamp, again.security_stamp) == (0, 0)
        assert found.successor == again.successor

    run(stack.urls.redis, work)


def test_a_user_has_a_bounded_number_of_sessions_and_the_one_used_longest_ago_ends(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        for number in range(MAX_SESSIONS):
            await sessions.create(user, f"s{number:03}", f"token-{number}")
        await asyncio.sleep(0.005)
        assert (await sessions.refresh(user, "s000", "token-0", "a" * 32)).presented is Presented.CURRENT
        await sessions.create(user, "one-more", "token")
        assert await sessions.security_stamp_of(user, "s000") is not None
        assert len(await sessions.list_sessions(user)) == MAX_SESSIONS
        live = [await sessions.security_stamp_of(user, f"s{number:03}") is not None for number in range(MAX_SESSIONS)]
        assert live.count(False) == 1

    run(stack.urls.redis, work)


def test_no_key_of_a_session_lives_for_ever(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        await sessions.end(user, "s1")
        await sessions.create(user, "s2", "second")
        client = connect_async(stack.urls.redis)
        keys = [key async for key in client.scan_iter(f"*{user}*")]
        assert len(keys) == 3
        assert all([0 < await client.pttl(key) <= 60_000 for key in keys])
        await client.aclose()

    run(stack.urls.redis, work)


def test_an_answer_that_was_lost_costs_nobody_the_session(stack: Stack, user: str) -> None:
    proxy = TcpProxy(stack.urls.redis)

    async def lose_an_answer(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        proxy.freeze()
        with pytest.raises(Unavailable):
            await sessions.refresh(user, "s1", "first", "a" * 32)
        proxy.thaw()

    async def ask_again(sessions: Sessions) -> None:
        found = await sessions.refresh(user, "s1", "first", "b" * 32)
        assert found.presented in (Presented.CURRENT, Presented.PREVIOUS)
        assert (await sessions.refresh(user, "s1", found.successor, "c" * 32)).presented is Presented.CURRENT

    proxy.open()
    try:
        run(f"redis://127.0.0.1:{proxy.port}/0", lose_an_answer)
    finally:
        proxy.close()
    run(stack.urls.redis, ask_again)


def test_without_redis_every_question_is_unavailable(user: str) -> None:
    async def work(sessions: Sessions) -> None:
        for call in (
            sessions.create(user, "s1", "first"),
            sessions.refresh(user, "s1", "first", "a" * 32),
            sessions.security_stamp_of(user, "s1"),
            sessions.list_sessions(user),
            sessions.end(user, "s1"),
            sessions.end_all(user),
        ):
            with pytest.raises(Unavailable, match="Redis does not answer"):
                await call

    run(f"redis://127.0.0.1:{free_ports(1)[0]}/0", work)


def test_connections_that_were_idle_while_redis_was_restarted_cost_no_question(stack: Stack, user: str) -> None:
    proxy = TcpProxy(stack.urls.redis)

    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "first")
        await asyncio.gather(*(sessions.security_stamp_of(user, "s1") for _ in range(10)))
        await asyncio.to_thread(proxy.cut)
        await asyncio.to_thread(proxy.open)
        for _ in range(10):
            assert await sessions.security_stamp_of(user, "s1") == 1

    proxy.open()
    try:
        run(proxy.url, work)
    finally:
        proxy.close()


def test_a_token_that_is_only_used_stays_and_keeps_the_session_alive(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "token", security_stamp=7)
        assert [await sessions.use(user, "s1", "token") for _ in range(3)] == [7, 7, 7]
        assert (await sessions.refresh(user, "s1", "token", "salt")).presented is Presented.CURRENT

    run(stack.urls.redis, work)


def test_only_the_current_token_of_a_live_session_can_be_used(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "token")
        await sessions.create(user, "s2", "other")
        assert await sessions.use(user, "s1", "other") is None
        assert await sessions.use(user, "unknown", "token") is None
        assert await sessions.use("somebody", "s1", "token") is None
        successor = (await sessions.refresh(user, "s1", "token", "salt")).successor
        assert await sessions.use(user, "s1", "token") is None
        assert await sessions.use(user, "s1", successor) == 1
        await sessions.end(user, "s1")
        assert await sessions.use(user, "s1", successor) is None
        assert await sessions.use(user, "s2", "other") == 1

    run(stack.urls.redis, work)


def test_a_session_that_nobody_uses_expires(stack: Stack, user: str) -> None:
    async def work(sessions: Sessions) -> None:
        await sessions.create(user, "s1", "token")
        deadline = time.monotonic() + 10
        # A use within the first minute is not noted, so that these questions do not keep it alive.
        while await sessions.use(user, "s1", "token") is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    run(stack.urls.redis, work, lifetime=0.3)
