"""The HTTP interface of the sandbox provider."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ops.sandbox_provider.cards import BY_NAME, BY_NUMBER, HANG_SECONDS, Card, Trouble, Webhooks
from ops.sandbox_provider.delivery import Delivery
from ops.sandbox_provider.store import KeyReused, Operation, Store, TooMuch

_MAX_BODY_BYTES: Final = 16 << 10
_MAX_AMOUNT: Final = 10**12
_MAX_KEY_CHARS: Final = 255
_MOST_LISTED: Final = 1_000


class _Answered(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.response = JSONResponse({"error": error}, status)


class _Cut(Response):
    """An answer whose connection is cut in its middle."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b'{"kind": "cha', "more_body": True})
        raise ConnectionAbortedError("as the card's script says")


@dataclass
class Provider:
    """What answers requests.

    Attributes:
        store: Its memory.
        delivery: Sends its webhooks.
        api_key: What the merchant is known by.
        pace: How long a second of the scripts takes.
    """

    store: Store
    delivery: Delivery
    api_key: str
    pace: float = 1.0

    async def add_method(self, request: Request) -> Response:
        """A card becomes a token; its number is kept by nobody."""
        body = await _body(request)
        number = str(body.get("number", "")).replace(" ", "")
        card = BY_NUMBER.get(number)
        if card is None:
            raise _Answered(422, "unknown_card")
        if not all(isinstance(body.get(name), str) and body[name] for name in ("exp", "cvc")):
            raise _Answered(422, "exp_and_cvc")
        token = self.store.add_method(card.name, number[-4:])
        return JSONResponse({"token": token, "last4": number[-4:]}, 201)

    async def charge(self, request: Request) -> Response:
        """Take money, once for a key."""
        body, key = await self._asked(request)
        amount, currency = _money(body)
        if amount is None:
            raise _Answered(422, "amount_minor")
        token, about = body.get("method"), body.get("order", "")
        fingerprint = json.dumps(["charge", amount, currency, token])
        known = self.store.get(key, fingerprint)
        if known is not None:
            return self._answer(known)
        name = self.store.card_of(token) if isinstance(token, str) else None
        if name is None:
            raise _Answered(404, "unknown_method")
        card, now_ms = BY_NAME[name], _now_ms()
        troubled = card.trouble if self.store.attempt(key) <= card.troubles else None
        if troubled is not None and not card.done:
            return await self._no_answer(troubled)
        final = "declined" if card.declined else "succeeded"
        made = Operation(
            key, f"ch_{secrets.token_hex(8)}", "charge", "pending" if card.pending_seconds else final, amount, currency,
            card.declined, card.name, "", str(about)[:100], now_ms,
            int(now_ms + card.pending_seconds * self.pace * 1_000) if card.pending_seconds else None, final,
        )  # fmt: skip
        events = [made.status, "pending"] if card.webhooks is Webhooks.REORDERED else [made.status]
        done = self.store.add(made, fingerprint, events)
        return await self._end(done, card, troubled)

    async def refund(self, request: Request) -> Response:
        """Give money back, once for a key; all that is left where nobody says how much."""
        body, key = await self._asked(request)
        amount, currency = _money(body)
        charge_key = str(body.get("charge_key", ""))
        fingerprint = json.dumps(["refund", amount, currency, charge_key])
        known = self.store.get(key, fingerprint)
        if known is not None:
            return self._answer(known)
        charge = self.store.get(charge_key)
        if charge is None or charge.kind != "charge":
            raise _Answered(404, "unknown_charge")
        card, now_ms = BY_NAME[charge.card], _now_ms()
        attempt = self.store.attempt(key)
        if attempt <= card.refused_refunds:
            raise _Answered(402, "refund_refused")
        made = Operation(
            key, f"re_{secrets.token_hex(8)}", "refund", "succeeded",
            self.store.left_of(charge) if amount is None else amount, currency, "", card.name, charge.key, charge.about,
            now_ms, int(now_ms + card.reversed_seconds * self.pace * 1_000) if card.reversed_seconds else None,
            "failed",
        )  # fmt: skip
        try:
            done = self.store.add(made, fingerprint, [made.status])
        except TooMuch:
            raise _Answered(422, "more_than_is_left") from None
        return await self._end(done, card, card.refund_trouble if attempt == 1 else None)

    async def operations(self, request: Request) -> Response:
        """What happened under a key, or everything from a place on."""
        self._check(request)
        self.store.settle(_now_ms())
        if "idempotency-key" in request.headers:
            found = self.store.get(_key(request))
            if found is None:
                raise _Answered(404, "not_found")
            return JSONResponse(self.store.shown(found))
        try:
            after = int(request.query_params.get("after", "0"))
            limit = min(_MOST_LISTED, max(1, int(request.query_params.get("limit", _MOST_LISTED))))
        except ValueError:
            raise _Answered(422, "after_or_limit") from None
        listed = self.store.operations(after, limit)
        return JSONResponse(
            {
                "operations": [self.store.shown(each) for _, each in listed],
                "next": listed[-1][0] if len(listed) == limit else None,
            }
        )

    async def balance(self, request: Request) -> Response:
        """What it has of the merchant's money, and how many webhooks nobody has taken."""
        self._check(request)
        self.store.settle(_now_ms())
        return JSONResponse({"balance": self.store.balance(), "webhooks_waiting": self.store.waiting()})

    async def health(self, request: Request) -> Response:
        """It answers, and its file does."""
        self.store.waiting()
        return PlainTextResponse("ok\n")

    def _check(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.api_key}".encode()):
            raise _Answered(401, "api_key")

    async def _asked(self, request: Request) -> tuple[dict[str, Any], str]:
        self._check(request)
        self.store.settle(_now_ms())
        return await _body(request), _key(request)

    async def _end(self, done: Operation, card: Card, trouble: Trouble | None) -> Response:
        if card.webhooks is Webhooks.FIRST:
            await self.delivery.send_due()
        if trouble is not None:
            return await self._no_answer(trouble)
        await asyncio.sleep(card.slow_seconds * self.pace)
        return self._answer(done)

    async def _no_answer(self, trouble: Trouble) -> Response:
        if trouble is Trouble.ERROR:
            raise _Answered(500, "internal")
        if trouble is Trouble.HANG:
            await asyncio.sleep(HANG_SECONDS * self.pace)
        return _Cut()

    def _answer(self, done: Operation) -> Response:
        if done.status == "declined":
            return JSONResponse({**self.store.shown(done), "error": done.reason}, 402)
        return JSONResponse(self.store.shown(done))


def build_app(provider: Provider) -> Starlette:
    """The application.

    Args:
        provider: What answers.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(provider.delivery.run())
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            provider.store.close()

    async def answered(request: Request, error: Exception) -> Response:
        assert isinstance(error, _Answered)
        return error.response

    async def reused(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "key_reused"}, 409)

    return Starlette(
        routes=[
            Route("/v1/methods", provider.add_method, methods=["POST"]),
            Route("/v1/charges", provider.charge, methods=["POST"]),
            Route("/v1/refunds", provider.refund, methods=["POST"]),
            Route("/v1/operations", provider.operations),
            Route("/v1/balance", provider.balance),
            Route("/livez", provider.health),
            Route("/readyz", provider.health),
        ],
        exception_handlers={_Answered: answered, KeyReused: reused},
        lifespan=lifespan,
    )


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MAX_BODY_BYTES:
            raise _Answered(413, "too_large")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise _Answered(400, "json") from None
    if not isinstance(found, dict):
        raise _Answered(422, "object")
    return found


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not 1 <= len(key) <= _MAX_KEY_CHARS:
        raise _Answered(400, "idempotency_key")
    return key


def _money(body: dict[str, Any]) -> tuple[int | None, str]:
    amount, currency = body.get("amount_minor"), body.get("currency")
    if amount is not None and (type(amount) is not int or not 0 < amount <= _MAX_AMOUNT):
        raise _Answered(422, "amount_minor")
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise _Answered(422, "currency")
    return amount, currency


def _now_ms() -> int:
    return int(time.time() * 1_000)
