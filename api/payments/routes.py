"""The route by which payment providers say what happened."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request

from api.access import Demand
from api.payments.schemas import WebhookTaken
from api.payments.service import NotSigned, UnknownProvider, WebhookService
from api.web.bodies import MAX_BODY_BYTES, FileBody
from api.web.problems import NOT_FOUND, UNAUTHENTICATED, Problem
from api.web.routes import Routes
from connectors.payments.signatures import HEADER

PAYMENTS: Final = Routes("/v1/payments", "Payments")

_AT_ONCE: Final = 50
_SIGNATURE: Final[dict[str, Any]] = {
    "name": "Webhook-Signature",
    "in": "header",
    "required": True,
    "schema": {"type": "string"},
    "description": "`t=` and seconds since 1970, and `v1=` and the HMAC-SHA256 of the time, a full stop and the body.",
    "example": f"t=1796000000,v1={'0' * 64}",
}
_MESSAGE: Final = FileBody(
    "application/json",
    '{"id": "evt_1", "type": "charge.succeeded"}',
    MAX_BODY_BYTES,
    times_as_long=1.0,
    at_once=_AT_ONCE,
)


@PAYMENTS.add("POST", "/webhooks/{provider}", demand=Demand.NOTHING, cost=0.05, changes_access=False,
              problems=[NOT_FOUND], example={"taken": True}, takes=_MESSAGE, in_path=[_SIGNATURE])  # fmt: skip
async def take_payment_webhook(request: Request, provider: str) -> WebhookTaken:
    """Say what happened to a payment. For payment providers, whose signature is checked before the body is looked into.

    It is kept as it came and applied in a moment: 200 says no more than that nothing has to be sent again. One that was
    sent before is answered like the first one.
    """
    service: WebhookService = request.app.state.webhooks
    given = request.headers.getlist(HEADER)
    try:
        await service.take(provider, given[0] if len(given) == 1 else "", await request.body())
    except UnknownProvider as error:
        raise Problem(NOT_FOUND) from error
    except NotSigned as error:
        raise Problem(UNAUTHENTICATED, "the signature is none of the provider's, or not of now") from error
    return WebhookTaken(taken=True)
