"""Requests that are done once: what a request with a key gets, for routes that are registered with ``once``.

A request takes its key first. What it does is one transaction, which keeps the answer with the change; where another
attempt has the key by then, it changes nothing. A request that changed nothing gives the key up, whatever the reason:
repaired or repeated, the next one with the key is done. See docs/adr/0033.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import datetime
from typing import Final

from fastapi import Request, Response
from pydantic import BaseModel

from api.access import caller_of
from api.web.problems import CONFLICT, INVALID, FieldError, Problem
from connectors.errors import Unavailable
from connectors.mongo.idempotency import Claim, IdempotencyKeys
from connectors.mongo.times import milliseconds
from marketplace.idempotency import HEADER, LeaseLost, Next, StoredAnswer, fingerprint, row_id, wait_seconds

REPLAYED: Final = "idempotent-replayed"
"""Of an answer that was given before."""

_GIVE_UP_SECONDS: Final = 0.3
_ENDING: Final[set[asyncio.Task[None]]] = set()
"""What ends still: a task that nobody refers to may be collected before it is done."""

Fill = Callable[[StoredAnswer], Awaitable[StoredAnswer]]
"""Puts back what is not kept of an answer."""

_log = logging.getLogger(__name__)


def stored(status: int, body: BaseModel, location: str = "") -> StoredAnswer:
    """The answer of a route, as it is kept and sent."""
    return StoredAnswer(status, body.model_dump_json(), location)


async def once(
    request: Request,
    keys: IdempotencyKeys,
    clock: Callable[[], datetime],
    work: Callable[[Claim], Awaitable[StoredAnswer]],
    fill: Fill | None = None,
) -> Response:
    """Answer a request: do its work, or give the answer that its key has already.

    Args:
        request: Of a route that was registered with ``once``.
        keys: Where keys are kept.
        clock: The time.
        work: Does what is asked for in one transaction that keeps its answer, and returns that.
        fill: Puts back what is not kept of an answer; None where all of it is.

    Raises:
        Problem: Another request of the key is at it, or the key is another request's.
        Exception: What the work raises; the key is free then.
    """
    now = clock()
    owner = secrets.token_hex(16)
    row = row_id(_scope(request), request.state.idempotency_key)
    asked = fingerprint(request.method, request.scope["route"].path, request.path_params, await _body(request))
    begun = await keys.begin(row, asked, owner, now)
    if begun.next is Next.OTHER:
        message = "this key belongs to another request: make one for each"
        raise Problem(INVALID, errors=[FieldError(f"header:{HEADER.lower()}", "other-request", message)])
    if begun.next is Next.WAIT:
        assert begun.kept is not None  # nobody waits for nothing
        raise _in_progress(wait_seconds(begun.kept, milliseconds(now)))
    if begun.next is Next.ANSWER:
        assert begun.kept is not None  # it is what there is
        assert begun.kept.answer is not None
        answer = begun.kept.answer
        return _response(answer if fill is None else await fill(answer), replayed=True)
    try:
        return _response(await work(Claim(keys, row, owner)))
    except LeaseLost:
        raise _in_progress(1) from None
    except BaseException:
        await give_up(keys, row, owner)
        raise


def _scope(request: Request) -> str:
    caller = caller_of(request)
    return f"user:{caller.user.id}" if caller.key is None else f"key:{caller.key.id}"


async def _body(request: Request) -> object:
    return await request.json() if await request.body() else None


def _in_progress(seconds: int) -> Problem:
    message = "a request with this key is under way: repeat this one as it is"
    errors = [FieldError(f"header:{HEADER.lower()}", "in-progress", message)]
    return Problem(CONFLICT, message, errors=errors, headers={"retry-after": str(min(2, seconds))})


def _response(answer: StoredAnswer, *, replayed: bool = False) -> Response:
    headers = {"location": answer.location} if answer.location else {}
    if replayed:
        headers[REPLAYED] = "true"
    return Response(answer.body, answer.status, headers, "application/json")


async def give_up(keys: IdempotencyKeys, row: str, owner: str) -> None:
    """Free a key, also where whoever asked is gone; where that fails, its lease frees it."""
    # In a context of its own, where the deadline of the work does not hold.
    ending = asyncio.create_task(_give_up_now(keys, row, owner), context=Context())
    _ENDING.add(ending)
    ending.add_done_callback(_ENDING.discard)
    await asyncio.wait([ending], timeout=_GIVE_UP_SECONDS)


async def _give_up_now(keys: IdempotencyKeys, row: str, owner: str) -> None:
    try:
        await keys.give_up(row, owner)
    except Unavailable as error:
        _log.warning("a key could not be given up: its lease frees it (%s)", error)
