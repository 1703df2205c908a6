"""Cards become what the provider knows them as: a number passes through here once, and is kept and logged nowhere."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx
import msgspec

from connectors.errors import Refused, Unavailable
from connectors.payments import sandbox

SECONDS: Final = 6.0
"""For a whole question: who types a card in waits for it."""

_MAX_BYTES: Final = 16 << 10
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,255}", re.ASCII)


class CardRefused(Exception):
    """The provider does not take this card. Nothing of it is in the message.

    Args:
        field: What of it is wrong: ``number``, ``expiry`` or ``cvc``.
    """

    def __init__(self, field: str) -> None:
        super().__init__(f"the provider does not take the {field} of this card")
        self.field = field


@dataclass(frozen=True)
class Card:
    """A card, as it is typed in; nothing of it is shown where this is.

    Attributes:
        number: Digits.
        expiry: ``MM/YY``.
        cvc: Digits.
    """

    number: str = field(repr=False)
    expiry: str = field(repr=False)
    cvc: str = field(repr=False)


@dataclass(frozen=True)
class TrialCard:
    """A card of a test provider.

    Attributes:
        number: As it is typed in.
        text: What it does, for people.
    """

    number: str
    text: str


class PaymentMethods(Protocol):
    """A client of a provider that knows cards; for one event loop."""

    @property
    def trial_cards(self) -> tuple[TrialCard, ...]:
        """Cards to try it with; empty for a provider of real money."""

    async def add(self, card: Card) -> str:
        """What the provider knows the card as from now on.

        Raises:
            CardRefused: The provider does not take it.
            Unavailable: It gave no answer. Nothing was charged, and it can be asked again.
            Refused: It never will; it is not the card.
        """

    async def close(self) -> None:
        """Close its connections."""


class _Added(msgspec.Struct, frozen=True):
    token: str = ""
    error: str = ""


class SandboxMethods:
    """Cards of the sandbox provider.

    Args:
        url: Where it is.
        seconds: For a whole question.
    """

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        # The environment's proxies are for other servers.
        self._client = httpx.AsyncClient(base_url=url, timeout=seconds, trust_env=False)

    @property
    def trial_cards(self) -> tuple[TrialCard, ...]:
        """See :class:`PaymentMethods`."""
        return TRIAL_CARDS

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def add(self, card: Card) -> str:
        """See :class:`PaymentMethods`."""
        status, said = await self._ask({"number": card.number, "exp": card.expiry, "cvc": card.cvc})
        if status == 201 and _TOKEN.fullmatch(said.token):
            return said.token
        if status >= 500 or status in (201, 429):
            raise Unavailable(f"the provider gave no answer: HTTP {status}")
        if status == 422 and said.error in _OF_CARD:
            raise CardRefused(_OF_CARD[said.error])
        raise Refused(f"the provider refuses to know a card: HTTP {status} {said.error[:60]}".rstrip())

    async def _ask(self, body: Mapping[str, Any]) -> tuple[int, _Added]:
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client.stream("POST", "/v1/methods", json=body) as answer,
            ):
                content = b""
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > _MAX_BYTES:
                        raise Unavailable("the provider's answer is too long")
        except (httpx.HTTPError, TimeoutError) as error:
            # The error itself is left out: what was sent may be in it.
            raise Unavailable(f"the provider gave no answer: {type(error).__name__}") from None
        try:
            return answer.status_code, msgspec.json.decode(content, type=_Added)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return answer.status_code, _Added()


_OF_CARD: Final[Mapping[str, str]] = {"unknown_card": "number", "exp_and_cvc": "expiry"}

TRIAL_CARDS: Final = (
    TrialCard("4242 4242 4242 4242", "It is charged."),
    TrialCard("4000 0000 0001 1009", "It is charged after three seconds."),
    TrialCard("4000 0000 0000 0028", "It is declined: there is not enough money."),
    TrialCard("4000 0000 0000 0697", "It is declined: it has expired."),
    TrialCard("4000 0000 0001 2007", "It is declined after three seconds: its bank says no."),
    TrialCard("4000 0000 0000 8005", "It is charged, and the provider's answer is lost."),
    TrialCard("4000 0000 0001 7006", "It is charged, and each refund works at the third attempt."),
)
"""Some of the sandbox's: those that a buyer sees something of."""

METHODS: Final[Mapping[str, Callable[[str], PaymentMethods]]] = {sandbox.NAME: SandboxMethods}
"""By the names of providers, given the URL."""


def methods_of(provider: str, url: str) -> PaymentMethods | None:
    """A client of a provider; None where it is not said where that one is. The caller closes it."""
    return METHODS[provider](url) if url else None
