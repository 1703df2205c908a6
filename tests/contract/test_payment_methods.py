"""What every client promises that makes a card something that the provider knows, tested on the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from connectors.errors import Unavailable
from connectors.payments.methods import Card, CardRefused, PaymentMethods, methods_of
from runtime.ports import free_ports
from tests.kits.payments import Sandbox, sandbox

GOOD = Card("4242424242424242", "12/34", "123")
T = TypeVar("T")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("provider")) as running:
        yield running


def using(url: str, work: Callable[[PaymentMethods], Awaitable[T]]) -> T:
    async def whole() -> T:
        methods = methods_of("sandbox", url)
        assert methods is not None
        try:
            return await work(methods)
        finally:
            await methods.close()

    return asyncio.run(whole())


def test_a_card_becomes_a_token_that_says_nothing_of_its_number(provider: Sandbox) -> None:
    token = using(provider.url, lambda methods: methods.add(GOOD))
    assert token
    assert GOOD.number not in token


def test_a_card_that_is_not_known_is_refused_by_its_field(provider: Sandbox) -> None:
    with pytest.raises(CardRefused) as refused:
        using(provider.url, lambda methods: methods.add(Card("5555555555554444", "12/34", "123")))
    assert refused.value.field == "number"
    assert "5555" not in str(refused.value)


def test_a_provider_that_is_down_or_says_nothing_is_no_refusal_of_a_card() -> None:
    (port,) = free_ports(1)
    with pytest.raises(Unavailable) as said:
        using(f"http://127.0.0.1:{port}", lambda methods: methods.add(GOOD))
    assert GOOD.number not in f"{said.value!r}{said.value.__cause__!r}"


def test_without_an_address_there_is_no_provider() -> None:
    assert methods_of("sandbox", "") is None
